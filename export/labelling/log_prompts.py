"""Prompts to label, out of decision logs that were written with text: each text once, with what was last said of it."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec

from export.errors import TrainingDataInvalid

from .log_lines import log_lines, text_of

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


def read_log_prompts(logs: Sequence[Path]) -> LogPrompts:
    """Read the logs with their rotated parts; texts that differ only in white space are the same.

    Lines cut short by a crash and requests without a decision give no prompt. Raises TrainingDataInvalid for any other
    line, and for logs without a single text.
    """
    counts: Counter[str] = Counter()
    found: dict[str, LoggedPrompt] = {}
    for line in (line for log in logs for _, line in log_lines(log)):
        counts["lines"] += 1
        text = text_of(line)
        if text is None or not line.scores:
            continue
        counts["with text"] += 1
        if sum(map(str.isalnum, text)) < FEWEST_CHARACTERS:
            counts["near-empty"] += 1
            continue
        found[text_key(text)] = LoggedPrompt(text=text, scores=line.scores)
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
