"""What is wrong in a file or in the environment: where, why, and whether it can be served all the same."""

from typing import Literal

import msgspec

Severity = Literal["error", "warning"]


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """`path` is a place in `file` such as `$.rules[2].rationale`, or the name of a variable of the environment.

    `line`, counted from 1, is given only where the path does not lead to it, as in a file that is no YAML.
    """

    file: str
    path: str
    reason: str
    severity: Severity = "error"
    line: int | None = None

    def __str__(self) -> str:
        return f"{self.file}: {self.path}: {self.reason}"


_SHOWN = 3


def summary(problems: tuple[Problem, ...]) -> str:
    """Name the first problems in one line, for a log; lint shows them all."""
    left = len(problems) - _SHOWN
    shown = "; ".join(map(str, problems[:_SHOWN]))
    return f"{shown}; and {left} more" if left > 0 else shown
