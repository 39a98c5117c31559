"""How the bundled classifiers were made: their prompts, and what only their making needs."""
