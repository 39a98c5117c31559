"""Decision logs as training reads them: a line that a crash cut short is passed over, any other bad one is an error."""

from collections.abc import Iterator
from pathlib import Path

from export.errors import TrainingDataInvalid
from router_proxy.record.decision_line import DecisionLine, LineCutShort, LineInvalid, read_line
from router_proxy.record.log_parts import read_log


def log_lines(log: Path) -> Iterator[tuple[int, DecisionLine]]:
    """Yield each line of `log` and its rotated parts with its number; TrainingDataInvalid names the first bad one."""
    for place, raw in read_log(log):
        file, _, number = place.rpartition(":")
        try:
            yield int(number), read_line(raw)
        except LineCutShort:
            continue
        except LineInvalid as exc:
            raise TrainingDataInvalid(Path(file), int(number), str(exc)) from exc


def text_of(line: DecisionLine) -> str | None:
    """Return the text that was judged; None where the log was written without it, or there was none."""
    return line.text if isinstance(line.text, str) and line.text.strip() else None
