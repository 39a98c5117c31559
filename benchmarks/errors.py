"""BenchmarkError
├── ToolMissing        a program that a row needs is not in .tools
└── MeasurementFailed  a tool ran and told nothing that could be used
"""


class BenchmarkError(Exception):
    """Why a row has no number; the others go on."""


class ToolMissing(BenchmarkError):
    pass


class MeasurementFailed(BenchmarkError):
    pass
