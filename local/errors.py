"""LocalError               shown by the command line as one line
TritonUnavailable      no usable tritonserver on this machine
StartFailed            a process did not become ready, or a port is taken
CheckFailed            a live stack did not route as the guide says
PolicyRefused          a policy has errors, or did not decide as its tests expect
ScoresInvalid          scores that a policy cannot be applied to
LiveScoresUnavailable  a live proxy gave no scores for a text
PricesInvalid          a price list that cannot be used
LogInvalid             a decision log that cannot be read
NoCanaries             a bundle that gives no canaries
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


class PolicyRefused(LocalError):
    """A policy that should not be put in force; what is wrong was printed before."""


class ScoresInvalid(LocalError):
    """Scores given by hand that are not one number in 0..1 per label."""


class LiveScoresUnavailable(LocalError):
    """The proxy asked to score a text could not be reached or took no decision."""


class PricesInvalid(LocalError):
    """A price list that cannot be read or lacks a target."""


class LogInvalid(LocalError):
    """A decision log, or a line of it, that cannot be used; the message gives file and line."""


class NoCanaries(LocalError):
    """A directory that is no installed bundle, or a bundle that judges none of its texts clearly."""
