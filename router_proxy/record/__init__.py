"""What is kept of a request: metrics, one log line, a trace. Never its text, unless switched on."""
