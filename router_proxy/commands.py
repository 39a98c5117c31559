"""`semrouter serve`: the proxy as a process."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Mapping

import click
import uvloop
from aiohttp import web

from routing_policy.errors import RoutingPolicyError

from .app import create_app
from .errors import ConfigurationInvalid
from .keys import LIVE_GATEWAY
from .settings import Settings, read_settings


@click.command()
def serve() -> None:
    """Serve the proxy; the environment configures it (README has the table)."""
    _log_to_streams()
    try:
        settings = read_settings(os.environ)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(settings, os.environ))
    except (ConfigurationInvalid, RoutingPolicyError, OSError) as exc:
        raise click.ClickException(str(exc)) from exc


COMMANDS = [serve]
LOG = logging.getLogger("semrouter.proxy")


async def _serve(settings: Settings, environ: Mapping[str, str]) -> None:
    """Serve until SIGTERM or SIGINT."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    # A client that goes away cancels its handler, and with it the upstream's work.
    app = create_app(settings, environ)
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=settings.drain_seconds)
    await runner.setup()
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, app[LIVE_GATEWAY].reload)
    try:
        site = web.TCPSite(runner, settings.host, settings.port)
        await site.start()
        host, port = runner.addresses[0][:2]
        LOG.info("listening on http://%s:%s, routing %s", host, port, "on" if settings.enabled else "off")
        await stopped.wait()
    finally:
        await runner.cleanup()


def _log_to_streams() -> None:
    """Send decision lines, JSON each, to standard output and everything else to standard error."""
    decisions = logging.StreamHandler(sys.stdout)
    decisions.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("semrouter.decisions")
    logger.addHandler(decisions)
    logger.propagate = False
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(message)s")
