"""How two models did on the same prompts, and what a router makes of it."""
