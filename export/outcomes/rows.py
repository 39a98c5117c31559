"""Outcome rows: what each model made of a prompt. One JSON object a line; docs/outcomes.md has the form."""

import gzip
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
import numpy.typing as npt

from export.errors import TrainingDataInvalid

FOLDS = 5
TWO = 2

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Count = Annotated[int, msgspec.Meta(ge=0)]
Amount = Annotated[float, msgspec.Meta(ge=0)]
Numbers = npt.NDArray[np.float64]


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How good one model's answer was, and what it took; `tokens` are those of the answer."""

    quality: Share
    tokens: Count | None = None
    prompt_tokens: Count | None = None
    seconds: Amount | None = None
    cost: Amount | None = None


class OutcomeRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One prompt and the answers of two or more models to it. More fields are passed over."""

    text: Annotated[str, msgspec.Meta(pattern=r"\S")]
    models: dict[str, Answer]
    request_id: str | None = None
    source: str = "unnamed"
    task: str | None = None
    in_our_training: bool = False


class _FlatRow(msgspec.Struct, frozen=True, kw_only=True):
    """The form of public files: the two models of a row stand in fields of their own."""

    text: Annotated[str, msgspec.Meta(pattern=r"\S")]
    strong_model: str
    weak_model: str
    strong_score: Share
    weak_score: Share
    source: str = "unnamed"
    task: str | None = None
    in_our_training: bool = False


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """The answers of the stronger and of the cheaper model to one prompt."""

    text: str
    strong: Answer
    weak: Answer
    strong_model: str
    weak_model: str
    source: str
    task: str | None
    request_id: str | None
    line: int

    @property
    def gain(self) -> float:
        return self.strong.quality - self.weak.quality


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which of the models in a file to compare, and which sources; None and nothing leave that open."""

    strong: str | None = None
    weak: str | None = None
    sources: tuple[str, ...] = ()
    likely_strong: str | None = None  # where `strong` is None and this one has answers


class Outcomes(msgspec.Struct, frozen=True, kw_only=True):
    """What a file says of pairs of models; `left_out` rows had been trained on."""

    pairs: list[Pair]
    left_out: int
    note: str | None  # how the stronger model was found, where nobody named it


class _Line(msgspec.Struct, frozen=True, kw_only=True):
    number: int
    row: OutcomeRow
    named: tuple[str, str] | None  # the stronger and the cheaper, where the row says which is which


def read_outcomes(file: Path, wanted: Wanted) -> Outcomes:
    """Read the pairs of a JSONL file, which may be gzipped; TrainingDataInvalid names the line that is no such row."""
    lines = _read_lines(file)
    _check_ids(file, lines)
    kept = [line for line in lines if not line.row.in_our_training]
    chosen = [line for line in kept if not wanted.sources or line.row.source in wanted.sources]
    if not chosen:
        known = sorted({line.row.source for line in lines})
        raise TrainingDataInvalid(file, None, f"expected outcomes to measure on, found none; its sources are {known}")
    found, note = _pairs(file, chosen, wanted)
    return Outcomes(pairs=found, left_out=len(lines) - len(kept), note=note)


def write_row(row: OutcomeRow) -> bytes:
    return msgspec.json.encode(row) + b"\n"


def gains(pairs: Sequence[Pair]) -> Numbers:
    """Return what the stronger model adds to each prompt, in -1..1."""
    return np.array([pair.gain for pair in pairs])


def fold_numbers(texts: Iterable[str]) -> npt.NDArray[np.int64]:
    """Return the fold of each text: the same text is always in the same one, so that none is learnt from itself."""
    return np.array([zlib.crc32(" ".join(text.split()).encode()) % FOLDS for text in texts], dtype=np.int64)


def group_by_pair(pairs: Sequence[Pair]) -> dict[str, list[Pair]]:
    """Return the pairs by source, and by models where a source has several, in the order of the file."""
    of_source: dict[str, set[tuple[str, str]]] = {}
    for pair in pairs:
        of_source.setdefault(pair.source, set()).add((pair.strong_model, pair.weak_model))
    groups: dict[str, list[Pair]] = {}
    for pair in pairs:
        several = len(of_source[pair.source]) > 1
        name = f"{pair.source}: {pair.strong_model} over {pair.weak_model}" if several else pair.source
        groups.setdefault(name, []).append(pair)
    return groups


def _read_lines(file: Path) -> list[_Line]:
    try:
        content = file.read_bytes()
        raw = gzip.decompress(content) if file.suffix == ".gz" else content
    except (OSError, EOFError, zlib.error) as exc:
        raise TrainingDataInvalid(file, None, getattr(exc, "strerror", None) or str(exc)) from exc
    lines = [_read_line(file, number, line) for number, line in enumerate(raw.split(b"\n"), start=1) if line.strip()]
    if not lines:
        raise TrainingDataInvalid(file, None, "expected outcome rows, got an empty file")
    return lines


def _read_line(file: Path, number: int, line: bytes) -> _Line:
    try:
        values = msgspec.json.decode(line, type=dict[str, Any])
        if "strong_score" in values:
            flat = msgspec.convert(values, _FlatRow)
            return _Line(number=number, row=_from_flat(flat), named=(flat.strong_model, flat.weak_model))
        row = msgspec.convert(values, OutcomeRow)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise TrainingDataInvalid(file, number, f"expected an outcome row: {str(exc).replace('`', '')}") from exc
    if len(row.models) < TWO:
        raise TrainingDataInvalid(file, number, f"expected the answers of two models, got {sorted(row.models)}")
    return _Line(number=number, row=row, named=None)


def _from_flat(flat: _FlatRow) -> OutcomeRow:
    return OutcomeRow(
        text=flat.text,
        models={
            flat.strong_model: Answer(quality=flat.strong_score),
            flat.weak_model: Answer(quality=flat.weak_score),
        },
        source=flat.source,
        task=flat.task,
        in_our_training=flat.in_our_training,
    )


def _check_ids(file: Path, lines: Sequence[_Line]) -> None:
    seen: dict[str, int] = {}
    for line in lines:
        name = line.row.request_id
        if name is not None and seen.setdefault(name, line.number) != line.number:
            raise TrainingDataInvalid(file, line.number, f"request_id {name!r} stands on line {seen[name]} already")


def _pairs(file: Path, lines: Sequence[_Line], wanted: Wanted) -> tuple[list[Pair], str | None]:
    if any(line.named is None for line in lines):
        strong, weak, note = _find_models(file, lines, wanted)
        return [_pair(file, line, strong, weak) for line in lines], note
    fitting = [line for line in lines if line.named and _fits(line.named, wanted)]
    if not fitting:
        known = sorted({f"{line.named[0]} over {line.named[1]}" for line in lines if line.named})
        raise TrainingDataInvalid(file, None, f"expected {wanted.strong} over {wanted.weak}, got {known}")
    return [_pair(file, line, *line.named) for line in fitting if line.named], None


def _fits(named: tuple[str, str], wanted: Wanted) -> bool:
    return wanted.strong in {None, named[0]} and wanted.weak in {None, named[1]}


def _find_models(file: Path, lines: Sequence[_Line], wanted: Wanted) -> tuple[str, str, str | None]:
    """Return the stronger and the cheaper model; of two that nobody named, the better one is the stronger."""
    known = sorted({name for line in lines for name in line.row.models})
    for option, name in (("--strong", wanted.strong), ("--weak", wanted.weak)):
        if name is not None and name not in known:
            raise TrainingDataInvalid(file, None, f"has no answers of {name!r} ({option}); it has those of {known}")
    if wanted.strong is None and wanted.likely_strong in {*known} - {wanted.weak}:
        wanted = msgspec.structs.replace(wanted, strong=wanted.likely_strong)
    left = [name for name in known if name not in {wanted.strong, wanted.weak}]
    if wanted.strong is not None and wanted.weak is not None:
        return wanted.strong, wanted.weak, None
    if len(known) != TWO:
        raise TrainingDataInvalid(file, None, f"has answers of {known}; name two of them by --strong and --weak")
    if wanted.strong is not None:
        return wanted.strong, left[0], None
    if wanted.weak is not None:
        return left[0], wanted.weak, None
    strong, weak = sorted(known, key=lambda name: -_mean_quality(lines, name))
    return strong, weak, f"{strong} is taken for the stronger model, as its answers are better; --strong says otherwise"


def _mean_quality(lines: Sequence[_Line], name: str) -> float:
    return float(np.mean([line.row.models[name].quality for line in lines if name in line.row.models]))


def _pair(file: Path, line: _Line, strong: str, weak: str) -> Pair:
    if missing := [name for name in (strong, weak) if name not in line.row.models]:
        raise TrainingDataInvalid(file, line.number, f"expected answers of {strong} and {weak}, lacks {missing[0]}")
    return Pair(
        text=line.row.text,
        strong=line.row.models[strong],
        weak=line.row.models[weak],
        strong_model=strong,
        weak_model=weak,
        source=line.row.source,
        task=line.row.task,
        request_id=line.row.request_id,
        line=line.number,
    )
