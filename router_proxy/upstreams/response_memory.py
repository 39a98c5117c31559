"""Which client got which stored response, and from where: one memory for all workers, bounded for each client."""

import logging
import sqlite3
from pathlib import Path

import msgspec

LOG = logging.getLogger("semrouter.upstreams")
_EACH_CLIENT = 10_000
_START_SECONDS = 10  # for the other workers, which open it at the same time
_WAIT_MS = 50  # for another that is writing; not knowing one response is better than a loop that stands
_TABLE = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = OFF;
CREATE TABLE IF NOT EXISTS responses (
    client TEXT NOT NULL, number INTEGER NOT NULL, id TEXT NOT NULL, upstream TEXT NOT NULL, place TEXT NOT NULL,
    PRIMARY KEY (client, number)
) WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS by_id ON responses (client, id);
"""
_LAST = "SELECT max(number) FROM responses WHERE client = ?"
_ADD = "INSERT OR REPLACE INTO responses VALUES (?, ?, ?, ?, ?)"
_FORGET = "DELETE FROM responses WHERE client = ? AND number <= ?"
_FIND = "SELECT upstream, place FROM responses WHERE client = ? AND id = ?"


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """The upstream that keeps a response, and which of its endpoints."""

    upstream: str
    endpoint: str


class ResponseMemory:
    """Remembers the last responses of each client. With `file` all who open it remember the same."""

    def __init__(self, file: Path | None = None) -> None:
        self._rows = sqlite3.connect(file or ":memory:", timeout=_START_SECONDS, isolation_level=None)
        self._rows.executescript(_TABLE)
        self._rows.execute(f"PRAGMA busy_timeout = {_WAIT_MS}")

    def close(self) -> None:
        self._rows.close()

    def remember(self, client: str, response_id: str, place: Place) -> None:
        try:
            with self._rows:
                self._rows.execute("BEGIN IMMEDIATE")
                number = (self._rows.execute(_LAST, (client,)).fetchone()[0] or 0) + 1
                self._rows.execute(_ADD, (client, number, response_id, place.upstream, place.endpoint))
                self._rows.execute(_FORGET, (client, number - _EACH_CLIENT))
        except sqlite3.Error as exc:
            LOG.warning("a stored response is not remembered: %s", exc)

    def find(self, client: str, response_id: str) -> Place | None:
        try:
            found = self._rows.execute(_FIND, (client, response_id)).fetchone()
        except sqlite3.Error as exc:
            LOG.warning("a stored response is not found: %s", exc)
            return None
        return Place(upstream=found[0], endpoint=found[1]) if found else None
