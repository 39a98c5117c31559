"""Fine-tuning a classifier on labelled prompts."""
