"""What came in: the body, its headers, the routing mode, the API surface and what an upstream must offer."""
