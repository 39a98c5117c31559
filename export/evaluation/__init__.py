"""How good a classifier is, beside simpler ways to decide."""
