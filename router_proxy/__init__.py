"""The OpenAI-compatible proxy. `chat.py` tells the story of one request: parse, ask, choose, forward, record.

clients/        their connections: how many, how long, and what arrives there that is no HTTP
request/        what came in: body, headers, mode, API surface, what the request needs
routing/        asking Triton for a decision, and remembering it
upstreams/      the LLM servers: endpoints, breakers, which one takes a request
forwarding/     sending a request on and relaying the answer
record/         what is kept of a request: metrics, decision log, traces
background/     work beside requests: shadow decisions, canaries, health checks
other_paths/    everything but the routed surfaces: models, probes, preview, page, passthrough
configuration/  settings and files
"""
