"""The LLM servers: their endpoints and breakers, and which of them takes a request."""
