"""Tools for policy files: lint, test, explain, schemas, canaries."""
