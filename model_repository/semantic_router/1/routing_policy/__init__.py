"""The pure core: policy, decision, conversation reading, clipping and bundles. No Triton, no HTTP, no clock."""
