"""What surrounds the core inside Triton: the environment, the watched policy, bundle versions and the classifiers."""
