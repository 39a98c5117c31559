"""From chosen prompts to a file of labelled ones that `semrouter train` and `semrouter eval` read."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np

from export.errors import TrainingDataInvalid
from export.evaluation.metrics import Figure, wilson

from .log_prompts import LoggedPrompt, logged_labels
from .prompt_choice import Chosen

SOURCE = "log"


class LabelledRow(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the file; `label` is null where somebody still has to give one."""

    text: str
    label: str | None
    decided: str  # by the classifier, when the prompt was logged
    confidence: float
    chosen: str
    source: str = SOURCE

    @property
    def agrees(self) -> bool:
        return self.label == self.decided


def choose_labels(
    log: Path, prompts: Sequence[LoggedPrompt], wanted: str | None, meanings: Mapping[str, str]
) -> list[str]:
    """Return the labels to choose from: the comma-separated ones `wanted`, else the log's own.

    Raises TrainingDataInvalid where the log has several sets, and for a wanted label that none of its decisions knows
    and nothing in `meanings` explains.
    """
    sets = logged_labels(prompts)
    if wanted is None and len(sets) != 1:
        raise TrainingDataInvalid(log, None, f"expected scores of one set of labels, got {sets}; choose by --labels")
    labels = [*sets[0]] if wanted is None else [label.strip() for label in wanted.split(",")]
    known = {*meanings, *(label for each in sets for label in each)}
    if unknown := [label for label in labels if label not in known]:
        reason = f"no decision has a score for {unknown}; explain a new label by --meaning, or take some of {sets}"
        raise TrainingDataInvalid(log, None, reason)
    if len(set(labels)) < 2:  # noqa: PLR2004 - two classes make a classifier
        raise TrainingDataInvalid(log, None, f"expected two or more labels, got {labels}")
    return labels


def of_labels(prompts: Sequence[LoggedPrompt], labels: list[str]) -> list[LoggedPrompt]:
    """Return the prompts that a classifier with these labels scored; all of them where none did."""
    return [prompt for prompt in prompts if prompt.scores.keys() == {*labels}] or [*prompts]


def labelled_rows(chosen: Sequence[Chosen], labels: Iterable[str | None]) -> list[LabelledRow]:
    """Return the rows in the order a person reads them: disagreements, agreements, then what has no label yet."""
    rows = [
        LabelledRow(
            text=each.prompt.text,
            label=label,
            decided=each.prompt.decided,
            confidence=round(each.prompt.confidence, 4),
            chosen=each.by,
        )
        for each, label in zip(chosen, labels, strict=True)
    ]
    return sorted(rows, key=lambda row: (row.label is None, row.agrees, row.confidence))


def write_rows(file: Path, rows: Iterable[LabelledRow]) -> None:
    """Write a new file that its owner alone can read."""
    file.touch(mode=0o600, exist_ok=False)
    file.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))


def agreement(rows: Iterable[LabelledRow]) -> Figure | None:
    """Return the share of labelled rows on which label and classifier agree; None without any."""
    agrees = [row.agrees for row in rows if row.label is not None]
    return wilson(np.array(agrees)) if agrees else None
