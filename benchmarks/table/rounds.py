"""Pairs are measured in turn, round after round, so that whatever else the machine does meets both alike."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import msgspec
import numpy as np


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """The median of the rounds, and the smallest and the largest of them."""

    value: float
    low: float
    high: float


Subject = TypeVar("Subject")


def interleave(
    subjects: Mapping[str, Subject], measure: Callable[[Subject], float], rounds: int
) -> dict[str, list[float]]:
    """Measure each once per round, A B C A B C …"""
    found: dict[str, list[float]] = {name: [] for name in subjects}
    for _ in range(rounds):
        for name, subject in subjects.items():
            found[name].append(measure(subject))
    return found


def call(way: Callable[[], float]) -> float:
    """Measure a subject that is its own measurement."""
    return way()


def summary(values: Sequence[float]) -> Estimate:
    return Estimate(value=float(np.median(values)), low=min(values), high=max(values))


def ratio(of: Sequence[float], to: Sequence[float]) -> Estimate:
    """Compare round by round: what slowed a whole round cancels out."""
    return summary([one / other for one, other in zip(of, to, strict=True)])


def added(by: Sequence[float], to: Sequence[float]) -> list[float]:
    """Return what each round's `by` has on top of the same round's `to`."""
    return [one - other for one, other in zip(by, to, strict=True)]


def exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """Return k of cost ≈ fixed + a·size^k, at its steepest: the growth between the largest sizes beyond the fixed cost.

    1 is linear. Costs no larger than the smallest one count as no growth at all, 0.
    """
    fixed = min(costs)
    grown = [(size, cost - fixed) for size, cost in zip(sizes, costs, strict=True) if cost > 1.5 * fixed]
    if len(grown) < 2:  # noqa: PLR2004 - a slope takes two points
        return 0.0
    (size, cost), (largest, most) = grown[0], grown[-1]
    return math.log(most / cost) / math.log(largest / size)
