"""BenchmarkError
├── OutOfTime              a family of rows takes longer than it may
└── NotMeasured            one row has no number; the others of its family go on
    ├── ToolMissing        a program that a row needs is not in .tools
    └── MeasurementFailed  a tool ran and told nothing that could be used
"""


class BenchmarkError(Exception):
    """Why rows have no number; the rest of the table goes on."""


class OutOfTime(BenchmarkError):
    pass


class NotMeasured(BenchmarkError):
    pass


class ToolMissing(NotMeasured):
    pass


class MeasurementFailed(NotMeasured):
    pass


def reason_of(error: BaseException) -> str:
    """Return the first line of what went wrong, for a cell of the table."""
    return (str(error).splitlines() or [type(error).__name__])[0]
