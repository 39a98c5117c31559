"""RoutingPolicyError
├ FileInvalid       a file cannot be read, or is not the YAML that it must be
│ └ PolicyInvalid   a policy file was refused at load
└ BundleInvalid     a classifier bundle was refused at load
"""

from .problem import Problem, summary


class RoutingPolicyError(Exception):
    """Base of everything this package raises on purpose."""


class FileInvalid(RoutingPolicyError):
    """A file of whatever kind that cannot be used: all that is wrong with it, where, and what was expected."""

    def __init__(self, problem: Problem, *more: Problem) -> None:
        self.problems = (problem, *more)
        super().__init__(summary(self.problems))


class PolicyInvalid(FileInvalid):
    """A policy that must not be served."""


class BundleInvalid(RoutingPolicyError):
    """A bundle that must not be served: which file, and what was expected."""

    def __init__(self, file: str, reason: str) -> None:
        super().__init__(f"{file}: {reason}")
        self.file = file
        self.reason = reason
