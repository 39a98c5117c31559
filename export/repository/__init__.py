"""The model repository: installing a bundle, going back, the copy that Triton serves, telling Triton."""
