"""Prompts whose first words give their label away, and the command that trains on them."""

import json
import random
from pathlib import Path

from click.testing import CliRunner, Result

from export.training.command import train_command

HARD = ("prove that", "how many ways to arrange", "derive a formula for", "solve for x when")
EASY = ("who painted", "translate the word", "what is the name of", "tell me about")
THINGS = ("the boat", "a triangle", "seven coins", "the river", "two trains", "an old clock", "the garden", "a matrix")


def write_data(file: Path, *, hard: str, easy: str) -> Path:
    """Write 64 prompts with these labels; their last word is their source."""
    rows = [
        {"text": f"{start} {thing}", "label": label, "topic": start.split()[0], "source": thing.split()[-1]}
        for starts, label in ((HARD, hard), (EASY, easy))
        for start in starts
        for thing in THINGS
    ]
    random.Random(0).shuffle(rows)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def train(data: Path, output: Path, *options: object) -> Result:
    arguments = ("--data", data, "--output", output, "--threads", 1, "--precision", "fp32", *options)
    return CliRunner().invoke(train_command, [str(argument) for argument in arguments])
