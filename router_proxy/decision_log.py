"""One JSON line per request on a routed surface; never its text."""

import logging

import msgspec

from .exchange import Exchange

DECISIONS = logging.getLogger("semrouter.decisions")


def log_decision(exchange: Exchange) -> None:
    DECISIONS.info("%s", msgspec.json.encode(exchange.log_record()).decode())
