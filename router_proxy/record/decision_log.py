"""One JSON line per request on a routed surface: to standard output and, if switched on, to a file that tools read."""

import asyncio
import logging

import msgspec

from router_proxy.configuration.settings import Settings

from .decision_line import line_of
from .exchange import Exchange
from .line_file import LineFile, LineWriter
from .metrics import Metrics

DECISIONS = logging.getLogger("semrouter.decisions")
_QUEUE_BYTES = 16 * 2**20
_MIB = 2**20


class DecisionLog:
    """`writer` is None without a file; the text goes into the file only, and only with `with_text`."""

    def __init__(self, writer: LineWriter | None = None, *, with_text: bool = False) -> None:
        self._writer = writer
        self._with_text = with_text

    def write(self, exchange: Exchange) -> None:
        record = line_of(exchange)
        line = msgspec.json.encode(record)
        if DECISIONS.isEnabledFor(logging.INFO):  # past Logger.info, which looks for the line of code that calls it
            DECISIONS.handle(logging.LogRecord(DECISIONS.name, logging.INFO, "", 0, line.decode(), None, None))
        if self._writer is None:
            return
        if self._with_text:
            line = msgspec.json.encode(msgspec.structs.replace(record, text=exchange.text and exchange.text.decode()))
        self._writer.submit(line + b"\n")

    async def close(self) -> None:
        if self._writer is not None:
            await asyncio.to_thread(self._writer.close)


def open_decision_log(settings: Settings, metrics: Metrics) -> DecisionLog:
    if settings.decision_log is None:
        return DecisionLog()
    file = LineFile(
        settings.decision_log, limit_bytes=settings.decision_log_mib * _MIB, parts=settings.decision_log_files
    )
    writer = LineWriter(file, queue_bytes=_QUEUE_BYTES, dropped=metrics.decision_log_dropped)
    return DecisionLog(writer, with_text=settings.decision_log_text)
