"""From a decision log to labelled prompts, by a judge or a person."""
