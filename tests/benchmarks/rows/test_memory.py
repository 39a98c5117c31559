"""How memory before and after becomes a row."""

from benchmarks.rows.memory import growth
from benchmarks.table.rounds import Estimate


def test_the_process_that_grew_most_counts() -> None:
    """Processes of a version that nobody asks do not hide one that grows."""
    assert growth([100, 200, 100], [100, 300, 100]) == Estimate(value=1.5, low=1.0, high=1.5)
