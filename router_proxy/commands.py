"""`semrouter serve`: the proxy as a process, or several."""

import os
import signal

import click

from router_proxy.configuration.settings import read_settings
from routing_policy.errors import RoutingPolicyError

from .errors import ConfigurationInvalid
from .reloading import load_configuration
from .server import bind, log_to_streams, run_server
from .workers import run_workers


@click.command()
def serve() -> None:
    """Serve the proxy; the environment configures it (docs/reference.md has the table)."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until there is something to reload
    log_to_streams()
    try:
        settings = read_settings(os.environ)
        load_configuration(settings, os.environ)
        with bind(settings) as listening:
            run = run_server if settings.workers == 1 else run_workers
            run(settings, os.environ, listening)
    except (ConfigurationInvalid, RoutingPolicyError, OSError) as exc:
        raise click.ClickException(str(exc)) from exc


COMMANDS = [serve]
