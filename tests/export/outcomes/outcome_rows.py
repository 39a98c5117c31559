"""Outcome rows with a known answer: prompts that say `hard` gain from the strong model, the others do not."""

import json
import random
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

HARD_WORDS = ("proof", "integral", "knot", "lemma")
EASY_WORDS = ("greeting", "capital", "colour", "rhyme")


def row(text: str, strong: float, weak: float, **more: Any) -> dict[str, Any]:
    return {"text": text, "models": {"big": {"quality": strong}, "small": {"quality": weak}}, **more}


def planted_rows(count: int, *, hard_gain: float = 0.8, noise: float = 0.2, seed: int = 0) -> list[dict[str, Any]]:
    """Return rows, half of them hard: there the strong model is right, and the weak one in 1 - `hard_gain` of them."""
    generator = random.Random(seed)
    rows = []
    for index in range(count):
        is_hard = index % 2 == 0
        word = generator.choice(HARD_WORDS if is_hard else EASY_WORDS)
        weak = float(generator.random() > (hard_gain if is_hard else noise))
        rows.append(row(f"{'hard' if is_hard else 'easy'} {word} number {index}", 1.0, weak, request_id=f"r{index}"))
    return rows


def write_rows(file: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    file.write_text("".join(f"{json.dumps(each)}\n" for each in rows))
    return file
