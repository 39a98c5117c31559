"""The servers, clients and counters that measure."""
