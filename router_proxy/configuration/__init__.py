"""Settings from the environment, and the files that the proxy reads."""
