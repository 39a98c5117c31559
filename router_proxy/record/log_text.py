"""How log lines read: an error says its kind and where it happened, never its message, which may quote a client."""

import asyncio
import logging
import traceback
from collections.abc import Iterator
from types import TracebackType
from typing import Any

LOG = logging.getLogger("semrouter.proxy")
_ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class LogText(logging.Formatter):
    """A formatter that leaves out what errors say."""

    def formatException(self, ei: _ExcInfo) -> str:  # noqa: N802 - logging's name
        return "".join(_places(ei[1])).rstrip() if ei[1] is not None else ""


def log_lost_error(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log an error that nobody waited for; asyncio's own handler shows the values that it happened to."""
    LOG.error("an error outside of any request", exc_info=context.get("exception"))


def _places(error: BaseException | None) -> Iterator[str]:
    """Yield where `error` and those behind it were raised, the first one first."""
    chain: list[BaseException] = []
    while error is not None and error not in chain:
        chain.append(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    for each in reversed(chain):
        yield from traceback.format_tb(each.__traceback__)
        yield f"{type(each).__module__}.{type(each).__qualname__}\n"
