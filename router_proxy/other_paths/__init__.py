"""Every path that is not routed: the list of models, probes, the preview, its page, and passthrough."""
