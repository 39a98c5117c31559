"""Triton from the PyPI wheel, the proxy and two demo upstreams, started and stopped together."""
