"""Rounds of measurements become a table, a plot and a verdict on each goal."""
