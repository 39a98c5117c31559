"""What people, templates and tools put around a prompt without changing what it asks: tones, formats, headers, chats.

Training puts on those of `dresses.jsonl`; flips are counted with `held_out_dresses.jsonl`, which has kinds of its own.
"""

from pathlib import Path
from typing import Literal

import msgspec

from export.errors import TrainingDataInvalid

PLACE = "{text}"
TRAINING_DRESSES = Path(__file__).with_name("dresses.jsonl")
HELD_OUT_DRESSES = Path(__file__).with_name("held_out_dresses.jsonl")


class Dress(msgspec.Struct, frozen=True, kw_only=True):
    """One addition; the prompt takes the place of "{text}"."""

    template: str
    kind: str
    lang: str
    place: Literal["before", "after", "around"]

    def around(self, text: str) -> str:
        return self.template.replace(PLACE, text)


def read_dresses(file: Path) -> list[Dress]:
    """Read one dress a line; raises TrainingDataInvalid at the first that has not exactly one place for the prompt."""
    found = []
    for number, line in enumerate(file.read_bytes().splitlines(), start=1):
        try:
            dress = msgspec.json.decode(line, type=Dress)
        except msgspec.DecodeError as exc:
            raise TrainingDataInvalid(file, number, str(exc)) from exc
        if dress.template.count(PLACE) != 1:
            raise TrainingDataInvalid(file, number, f"expected {PLACE} once in the template")
        found.append(dress)
    return found
