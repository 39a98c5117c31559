"""Asking Triton for a decision within the budget, and remembering the answer."""
