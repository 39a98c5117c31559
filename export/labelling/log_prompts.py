"""Prompts to label, out of decision logs that were written with text: each text once, with what was last said of it."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from export.errors import TrainingDataInvalid
from router_proxy.record.log_parts import PlacedLine, read_log

FEWEST_CHARACTERS = 4  # letters and digits; `ok` and `hi` teach nothing
TEXT_VARIABLE = "SEMROUTER_DECISION_LOG_TEXT"


class LoggedPrompt(msgspec.Struct, frozen=True, kw_only=True):
    """A text that was judged and the scores the classifier gave it; a policy may still have decided otherwise."""

    text: str
    scores: dict[str, float]

    @property
    def decided(self) -> str:
        return max(self.scores, key=self.scores.__getitem__)

    @property
    def confidence(self) -> float:
        return self.scores[self.decided]


class LogPrompts(msgspec.Struct, frozen=True, kw_only=True):
    """The prompts of some logs in the order of their first line, and how many lines gave none."""

    prompts: list[LoggedPrompt]
    lines: int
    with_text: int
    near_empty: int

    @property
    def duplicates(self) -> int:
        return self.with_text - self.near_empty - len(self.prompts)


class _Line(msgspec.Struct, frozen=True):
    text: str | None = None
    scores: dict[str, float] | None = None


def read_log_prompts(logs: Sequence[Path]) -> LogPrompts:
    """Read the logs with their rotated parts; texts that differ only in white space are the same.

    Lines cut short by a crash and requests without a decision give no prompt. Raises TrainingDataInvalid for any other
    line, and for logs without a single text.
    """
    counts: Counter[str] = Counter()
    found: dict[str, LoggedPrompt] = {}
    for line in _lines(logs, counts):
        if not line.text or not line.text.strip() or not line.scores:
            continue
        counts["with text"] += 1
        if sum(map(str.isalnum, line.text)) < FEWEST_CHARACTERS:
            counts["near-empty"] += 1
            continue
        found[text_key(line.text)] = LoggedPrompt(text=line.text, scores=line.scores)
    if not found:
        reason = (
            f"expected decisions with a text of some length, found none; {TEXT_VARIABLE}=true makes the proxy log it"
        )
        raise TrainingDataInvalid(logs[0], None, reason)
    return LogPrompts(
        prompts=[*found.values()],
        lines=counts["lines"],
        with_text=counts["with text"],
        near_empty=counts["near-empty"],
    )


def text_key(text: str) -> str:
    """Return what two texts share that count as the same one."""
    return " ".join(text.split())


def logged_labels(prompts: Sequence[LoggedPrompt]) -> list[tuple[str, ...]]:
    """Return every set of labels that the prompts have scores for, each in the order of its first prompt."""
    return [*{frozenset(prompt.scores): tuple(prompt.scores) for prompt in reversed(prompts)}.values()][::-1]


def _lines(logs: Sequence[Path], counts: Counter[str]) -> Iterator[_Line]:
    for log in logs:
        for placed in read_log(log):
            counts["lines"] += 1
            if line := _decode(placed):
                yield line


def _decode(placed: PlacedLine) -> _Line | None:
    place, raw = placed
    file, _, number = place.rpartition(":")
    try:
        return msgspec.json.decode(raw, type=_Line)
    except msgspec.ValidationError as exc:
        reason = f"expected a line of the decision log: {exc}"
        raise TrainingDataInvalid(Path(file), int(number), reason) from exc
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
