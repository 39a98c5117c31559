"""The decision log's files: a log that was rotated is read as one, oldest line first."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

# Where a line stands, as `file:number`, and the line.
PlacedLine = tuple[str, bytes]


def read_log(file: Path) -> Iterator[PlacedLine]:
    """Yield every line that is not blank of `file` and of the parts `file.1`, `file.2`, … that it was rotated into."""
    with ExitStack() as opened:
        parts = [(part, opened.enter_context(part.open("rb"))) for part in log_parts(file)]  # all now: names may move
        for part, lines in parts:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield f"{part}:{number}", line


def log_parts(file: Path) -> list[Path]:
    """Return the files of a log, oldest first; just `file` where it was not rotated."""
    suffixes = (part.suffix[1:] for part in file.parent.glob(f"{file.name}.*"))
    numbers = sorted((int(suffix) for suffix in suffixes if suffix.isdigit()), reverse=True)
    return [*(file.with_name(f"{file.name}.{number}") for number in numbers), file]
