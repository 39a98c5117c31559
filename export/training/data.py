"""Labelled prompts for training: read with every check up front, and kept clear of the guide's own examples."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from export.errors import TrainingDataInvalid

# The guide's examples are this project's acceptance test. A text with all stems of one row is too near to train on,
# as "prove that sqrt(17) is irrational" or "capital of France and its population" are; so is "2+2" in a short text.
GUIDE_STEMS = (
    (r"\b(prove|proof|show|beweis|démontr|demuestr|dimostr|证明)", r"irr?ation|无理数"),
    (r"capital|hauptstadt|首都|столиц", r"fran[ckç]|法国|франц"),
    (r"\bcsv\b", r"quot", r"\b(pars|read|split|handl)"),
)
GUIDE_SUM = re.compile(r"\b(2|two)\s*(\+|plus|and)\s*(2|two)\b", re.IGNORECASE)
SHORT_CHARACTERS = 80
LARGEST_HELD_SOURCE = 250  # so that no held-out source decides the figure


class LabelledPrompt(msgspec.Struct, frozen=True, kw_only=True):
    """One training row. `topic` is the label of the auxiliary task, where the file has one."""

    text: str
    label: str
    topic: str | None
    source: str
    language: str = "unknown"
    licence: str = "unstated"


class _RowInvalid(Exception):
    """Why a row cannot be used; `read_prompts` adds which one."""


def is_near_guide(text: str) -> bool:
    """Tell whether `text` is one of the guide's examples or close enough to give the answer away."""
    if len(text) <= SHORT_CHARACTERS and GUIDE_SUM.search(text):
        return True
    return any(all(re.search(stem, text, re.IGNORECASE) for stem in stems) for stems in GUIDE_STEMS)


def read_prompts(
    file: Path, label_field: str, topic_field: str | None = None, labels: Sequence[str] | None = None
) -> list[LabelledPrompt]:
    """Read JSONL rows with a "text" and a label; refuse the whole file at the first row that cannot be trained on.

    `labels`, if given, are the only ones allowed; otherwise any two or more.
    """
    try:
        lines = file.read_bytes().splitlines()
    except OSError as exc:
        raise TrainingDataInvalid(file, None, exc.strerror or str(exc)) from exc
    rows = []
    for number, line in enumerate(lines, start=1):
        try:
            if line.strip():
                rows.append(_read_row(line, label_field, topic_field, labels))
        except _RowInvalid as exc:
            raise TrainingDataInvalid(file, number, str(exc)) from exc
    _check_enough(file, rows)
    return rows


def without_guide(prompts: Iterable[LabelledPrompt]) -> list[LabelledPrompt]:
    return [prompt for prompt in prompts if not is_near_guide(prompt.text)]


def hold_out(
    prompts: Iterable[LabelledPrompt], sources: Collection[str]
) -> tuple[list[LabelledPrompt], list[LabelledPrompt]]:
    """Split `prompts` into those of other sources and those of `sources`, of which each gives at most 250."""
    kept: list[LabelledPrompt] = []
    held: list[LabelledPrompt] = []
    counts: Counter[str] = Counter()
    for prompt in prompts:
        if prompt.source not in sources:
            kept.append(prompt)
        elif counts[prompt.source] < LARGEST_HELD_SOURCE:
            counts[prompt.source] += 1
            held.append(prompt)
    return kept, held


def write_prompts(prompts: Iterable[LabelledPrompt], file: Path) -> None:
    """Write rows that `read_prompts` and `semrouter eval` read, for their owner alone."""
    rows = ({"text": each.text, "label": each.label, "source": each.source, "lang": each.language} for each in prompts)
    file.touch(mode=0o600)
    file.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))


def source_weights(prompts: Sequence[LabelledPrompt], scale: Mapping[str, float]) -> list[float]:
    """Return one weight per row, mean 1: inverse square root of its source's size, times `scale` of that source."""
    sizes = Counter(prompt.source for prompt in prompts)
    raw = [scale.get(prompt.source, 1.0) * sizes[prompt.source] ** -0.5 for prompt in prompts]
    mean = sum(raw) / len(raw)
    return [weight / mean for weight in raw]


def sources_by_licence(prompts: Iterable[LabelledPrompt]) -> dict[str, list[str]]:
    """Return the sources of each licence, both in alphabetical order."""
    found: dict[str, set[str]] = {}
    for prompt in prompts:
        found.setdefault(prompt.licence, set()).add(prompt.source)
    return {licence: sorted(sources) for licence, sources in sorted(found.items())}


def balanced_over_labels(prompts: Sequence[LabelledPrompt], weights: Sequence[float]) -> list[float]:
    """Scale the weights so that every label has the same sum; their mean stays."""
    sums: dict[str, float] = {}
    for prompt, weight in zip(prompts, weights, strict=True):
        sums[prompt.label] = sums.get(prompt.label, 0.0) + weight
    share = sum(weights) / len(sums)
    return [weight * share / sums[prompt.label] for prompt, weight in zip(prompts, weights, strict=True)]


def _read_row(line: bytes, label_field: str, topic_field: str | None, labels: Sequence[str] | None) -> LabelledPrompt:
    try:
        row = msgspec.json.decode(line, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise _RowInvalid(f"expected a JSON object: {exc}") from exc
    label = _text_field(row, label_field)
    if labels is not None and label not in labels:
        raise _RowInvalid(f"expected a label of {list(labels)}, got {label!r}")
    topic = None if topic_field is None else _text_field(row, topic_field)
    return LabelledPrompt(
        text=_text_field(row, "text"),
        label=label,
        topic=topic,
        source=str(row.get("source", "")),
        language=str(row.get("lang", "unknown")),
        licence=str(row.get("license", "unstated")),
    )


def _text_field(row: dict[str, Any], field: str) -> str:
    value = row.get(field)
    if value is None and field in row:
        raise _RowInvalid(f'"{field}" is null: fill it in, or delete the line')
    if not isinstance(value, str) or not value.strip():
        raise _RowInvalid(f'expected text in "{field}", got {value!r:.60}')
    return value


def _check_enough(file: Path, rows: list[LabelledPrompt]) -> None:
    if not rows:
        raise TrainingDataInvalid(file, None, "expected labelled prompts, got an empty file")
    found = sorted({row.label for row in rows})
    if len(found) < 2:  # noqa: PLR2004 - two classes make a classifier
        raise TrainingDataInvalid(file, None, f"expected two or more labels, got only {found}")
