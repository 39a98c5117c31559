"""The command line, and everything that runs on one machine without a container.

stack/     `semrouter up`: Triton from the PyPI wheel, the proxy and demo upstreams
policy/    `semrouter policy`: lint, test, explain, canaries
logs/      `semrouter report`, replay and drift: what decision logs tell
backends/  the ONNX Runtime backend in Python, which the wheel's Triton lacks
"""
