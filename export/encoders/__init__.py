"""What training starts from: a checkpoint, a smaller copy of one, or a new small network."""
