"""What is measured: one family of rows a file."""
