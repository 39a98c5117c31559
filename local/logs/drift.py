"""How live decisions drift from those of a decision log: Prometheus rules that hold its shares and compare. No text.

The measure is the population stability index, PSI: over the bins of two histograms, the sum of (live - baseline) times
ln(live / baseline). By custom below 0.1 is stable and above 0.25 another population (Siddiqi, Credit Risk Scorecards).
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from prometheus_client.utils import floatToGoString

from router_proxy.record.log_parts import PlacedLine
from router_proxy.record.metric_catalogue import CONFIDENCE_BOUNDS

from .lines import read_lines

# An empty bin would make the index infinite.
_LEAST_SHARE = 0.001
# With fewer decisions in the window chance alone moves the index.
_LEAST_DECISIONS = 100
_BUCKET = "semrouter_decision_confidence_bucket"
_COUNT = "semrouter_decision_confidence_count"
# By upper bound, as the metric's `le` has it; floatToGoString ships no type.
_BINS = tuple(str(floatToGoString(bound)) for bound in CONFIDENCE_BOUNDS)  # type: ignore[no-untyped-call]


class Baseline(msgspec.Struct, frozen=True, kw_only=True):
    """Shares of winners by label, and of confidences by the upper bound of their bin; each sums to 1."""

    decisions: int
    winners: dict[str, float]
    confidences: dict[str, float]


def take_baseline(log: Iterable[PlacedLine]) -> Baseline:
    """Count the decisions in a log; lines without one, or broken, are skipped."""
    winners: Counter[str] = Counter()
    confidences = Counter(dict.fromkeys(_BINS, 0))
    for _, line in read_lines(log):
        if line is not None and line.winner is not None and line.confidence is not None:
            winners[line.winner] += 1
            confidences[_BINS[bisect_left(CONFIDENCE_BOUNDS, line.confidence)]] += 1
    return Baseline(decisions=winners.total(), winners=_shares(winners), confidences=_shares(confidences))


def drift_rules(baseline: Baseline, window: str) -> dict[str, Any]:
    """Return a Prometheus rules document that compares the last `window` of decisions with `baseline`."""
    rules = [
        *_constants("winner", baseline.winners),
        *_constants("confidence", baseline.confidences),
        _record("drift_live:ratio", _winners_live(window), of="winner"),
        *(
            _record("drift_live:ratio", _bin_live(index, window), of="confidence", bin=name)
            for index, name in enumerate(_BINS)
        ),
        _record("drift:psi", _index(window)),
    ]
    return {"groups": [{"name": "semrouter-drift", "rules": rules}]}


def _shares(counted: Counter[str]) -> dict[str, float]:
    return {name: count / max(1, counted.total()) for name, count in counted.items()}


def _constants(of: str, shares: Mapping[str, float]) -> list[dict[str, Any]]:
    return [
        _record("drift_baseline:ratio", f"vector({share:.6f})", of=of, bin=name)
        for name, share in sorted(shares.items())
    ]


def _winners_live(window: str) -> str:
    by_bin = f'label_replace(rate({_COUNT}[{window}]), "bin", "$1", "winner", "(.*)")'
    return f"sum by (bin) ({by_bin}) / on () group_left () sum(rate({_COUNT}[{window}]))"


def _bin_live(index: int, window: str) -> str:
    """Return the share of one bin, as buckets count everything up to their bound."""
    upto = [f'sum(rate({_BUCKET}{{le="{name}"}}[{window}]))' for name in _BINS[max(0, index - 1) : index + 1]]
    return f"({' - '.join(reversed(upto))}) / sum(rate({_COUNT}[{window}]))"


def _index(window: str) -> str:
    """Return PSI by `of`; a label that only one side has counts with the least share on the other."""
    live = _at_least("semrouter:drift_live:ratio or semrouter:drift_baseline:ratio * 0")
    baseline = _at_least("semrouter:drift_baseline:ratio or semrouter:drift_live:ratio * 0")
    enough = f"sum(increase({_COUNT}[{window}])) >= {_LEAST_DECISIONS}"
    return f"sum by (of) (({live} - {baseline}) * ln({live} / {baseline})) and on () ({enough})"


def _at_least(shares: str) -> str:
    return f"clamp_min({shares}, {_LEAST_SHARE})"


def _record(name: str, query: str, **labels: str) -> dict[str, Any]:
    return {"record": f"semrouter:{name}", "expr": query, **({"labels": labels} if labels else {})}
