"""A Hugging Face checkpoint becomes an ONNX graph, and the graph a checked bundle."""
