"""LocalError               shown by the command line as one line
TritonUnavailable      no usable tritonserver on this machine
StartFailed            a process did not become ready, or a port is taken
CheckFailed            a live stack did not route as the guide says
"""

import click


class LocalError(click.ClickException):
    """Base of everything this package raises on purpose; click prints the message and exits with 1."""


class TritonUnavailable(LocalError):
    """tritonserver or something it needs is missing; the message says how to get it."""


class StartFailed(LocalError):
    """Part of the stack did not start; the message names it and where its log is."""


class CheckFailed(LocalError):
    """At least one routing check failed."""
