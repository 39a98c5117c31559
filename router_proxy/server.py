"""One process that serves: its socket, its loop, its signals. `python -m router_proxy.server FD` is a worker."""

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Mapping

import uvloop
from aiohttp import web

from router_proxy.background.budget_check import check_budget
from router_proxy.clients.listening import ClientRunner, raise_descriptor_limit
from router_proxy.configuration.settings import Settings, read_settings
from router_proxy.record.log_text import LogText, log_lost_error
from router_proxy.record.metrics import DIRECTORY_VARIABLE
from router_proxy.record.metrics_folder import use_metrics_folder

from .app import create_app
from .reloading import LIVE_GATEWAY

LOG = logging.getLogger("semrouter.proxy")
_BACKLOG = 1024
_NEW_OBJECTS = 10_000  # between two collections; Python's own 700 are those of the requests of a moment


def bind(settings: Settings) -> socket.socket:
    """Listen where the settings say, and say where that is."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.create_server((settings.host, settings.port), family=family, backlog=_BACKLOG)
    host, port = listening.getsockname()[:2]
    LOG.info("listening on http://%s:%s, routing %s", host, port, "on" if settings.enabled else "off")
    return listening


def run_server(
    settings: Settings, environ: Mapping[str, str], listening: socket.socket, lifeline: int | None = None
) -> None:
    """Serve on `listening` until SIGTERM or SIGINT, then let requests end.

    A worker also stops when `lifeline`, the end of a pipe its parent holds open, says that the parent is gone.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings, environ, listening, lifeline))


def log_to_streams() -> None:
    """Send decision lines, JSON each, to standard output and everything else to standard error."""
    decisions = logging.StreamHandler(sys.stdout)
    decisions.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("semrouter.decisions")
    logger.addHandler(decisions)
    logger.propagate = False
    # https://docs.python.org/3/howto/logging.html#optimization: none of our formats says any of these.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    everything_else = logging.StreamHandler(sys.stderr)
    everything_else.setFormatter(LogText("%(levelname)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[everything_else])


def spare_collections() -> None:
    """Keep the collector from what lives as long as the process, and from looking after every few requests."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS)


async def _serve(
    settings: Settings, environ: Mapping[str, str], listening: socket.socket, lifeline: int | None
) -> None:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    if lifeline is not None:
        loop.add_reader(lifeline, stopped.set)
    loop.set_exception_handler(log_lost_error)
    raise_descriptor_limit()
    app = create_app(settings, environ)
    # A client that goes away cancels its handler, and with it the upstream's work.
    runner = ClientRunner(
        app, settings, handler_cancellation=True, access_log=None, shutdown_timeout=settings.drain_seconds
    )
    await runner.setup()
    spare_collections()
    loop.add_signal_handler(signal.SIGHUP, app[LIVE_GATEWAY].reload)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})  # a worker is started with it blocked
    routing = app[LIVE_GATEWAY].current.routing
    checking = routing and asyncio.create_task(
        check_budget(routing.router, routing.own_texts, settings.routing_budget_ms)
    )
    try:
        await web.SockSite(runner, listening).start()
        await stopped.wait()
        if lifeline is not None:
            loop.remove_reader(lifeline)  # at its end a pipe is readable for ever
    finally:
        if checking:
            checking.cancel()
        await runner.cleanup()


if __name__ == "__main__":
    log_to_streams()
    with use_metrics_folder(os.environ[DIRECTORY_VARIABLE]):
        run_server(read_settings(os.environ), os.environ, socket.socket(fileno=int(sys.argv[1])), sys.stdin.fileno())
