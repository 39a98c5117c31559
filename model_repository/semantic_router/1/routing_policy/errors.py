"""RoutingPolicyError
PolicyInvalid     a policy file was refused at load
BundleInvalid     a classifier bundle was refused at load
"""


class RoutingPolicyError(Exception):
    """Base of everything this package raises on purpose."""


class PolicyInvalid(RoutingPolicyError):
    """A policy that must not be served: which file, where in it, and what was expected."""

    def __init__(self, file: str, path: str, reason: str) -> None:
        super().__init__(f"{file}: {path}: {reason}")
        self.file = file
        self.path = path
        self.reason = reason


class BundleInvalid(RoutingPolicyError):
    """A bundle that must not be served: which file, and what was expected."""

    def __init__(self, file: str, reason: str) -> None:
        super().__init__(f"{file}: {reason}")
        self.file = file
        self.reason = reason
