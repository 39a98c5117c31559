"""Work beside the requests: shadow decisions, canaries, health checks, checks of the budget."""
