"""Opening a bundle, scoring texts with it, and reading files of prompts."""
