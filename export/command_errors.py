"""How the commands of this folder show what went wrong."""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import click

from routing_policy.errors import RoutingPolicyError

from .errors import ExportError

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def shows_errors(command: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Turn what this package and routing_policy raise on purpose into one line on stderr and exit code 1."""

    @functools.wraps(command)
    def run(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        try:
            return command(*args, **kwargs)
        except (ExportError, RoutingPolicyError) as exc:
            raise click.ClickException(str(exc)) from exc
        except OSError as exc:  # a full disk, a folder that may not be written
            raise click.ClickException(f"{exc.filename or command.__name__}: {exc.strerror or exc}") from exc

    return run
