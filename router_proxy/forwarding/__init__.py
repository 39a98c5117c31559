"""Sending a request to an upstream and relaying its answer as it arrives."""
