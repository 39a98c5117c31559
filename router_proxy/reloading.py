"""Taking changed files into use while requests run: each request sees one gateway from beginning to end."""

import asyncio
import hashlib
import logging
from collections.abc import Mapping
from pathlib import Path

import msgspec
from aiohttp import web

from router_proxy.background.keep_going import keep_going
from router_proxy.configuration.canaries_file import CanariesForm, load_canaries
from router_proxy.configuration.settings import Settings
from router_proxy.configuration.upstreams_file import load_upstreams
from router_proxy.upstreams.upstreams import Upstreams
from routing_policy.errors import FileInvalid, RoutingPolicyError
from routing_policy.policy import Policy
from routing_policy.policy_checks import check_served
from routing_policy.policy_file import load_policy
from routing_policy.yaml_document import read_file

from .errors import ConfigurationInvalid
from .gateway import Gateway

# What stands for the contents of the files; None for one that cannot be read.
Contents = tuple[str | None, ...]


class Configuration(msgspec.Struct, frozen=True, kw_only=True):
    """`policy` is None while routing is not enabled, `canaries` also when none are to be asked."""

    upstreams: Upstreams
    policy: Policy | None
    canaries: CanariesForm | None
    contents: Contents


def load_configuration(
    settings: Settings, environ: Mapping[str, str], previous: Upstreams | None = None
) -> Configuration:
    """Read policy, upstreams and canaries; ConfigurationInvalid or PolicyInvalid says why they must not be served.

    Endpoints that `previous` has too keep what is known about them.
    """
    contents = file_contents(settings)  # first, so that a change while loading is one to notice
    upstreams = Upstreams(load_upstreams(settings.upstreams), environ, settings.upstreams, previous)
    policy = load_policy(settings.config) if settings.enabled else None
    if policy is not None:
        check_served(policy, upstreams, str(settings.upstreams))
    canaries = load_canaries(settings.canaries) if settings.enabled and settings.canary_seconds else None
    return Configuration(upstreams=upstreams, policy=policy, canaries=canaries, contents=contents)


def file_contents(settings: Settings) -> Contents:
    return tuple(_digest(file) for file in (settings.upstreams, settings.config, settings.canaries))


def _digest(file: Path) -> str | None:
    try:
        return hashlib.sha256(read_file(file)).hexdigest()
    except FileInvalid:
        return None


LOG = logging.getLogger("semrouter.proxy")
_WATCH_SECONDS = 1.0


class LiveGateway:
    """Holds the gateway in use; a reload replaces it as a whole or leaves it as it is."""

    def __init__(self, gateway: Gateway, environ: Mapping[str, str], seen: Contents) -> None:
        self.current = gateway
        self._environ = environ
        self._seen = seen
        self._watcher = asyncio.create_task(
            keep_going("reload", self._watch, gateway.metrics, pause_seconds=_WATCH_SECONDS)
        )

    def reload(self) -> None:
        """Take all files into use, or refuse all and keep what is in use."""
        gateway = self.current
        self._seen = file_contents(gateway.settings)
        try:
            loaded = load_configuration(gateway.settings, self._environ, gateway.upstreams)
        except (ConfigurationInvalid, RoutingPolicyError) as refusal:
            LOG.error("reload refused, the old configuration stays: %s", refusal)  # noqa: TRY400 - it says it all
            gateway.metrics.reloaded(refused=True)
            self.current = msgspec.structs.replace(gateway, configuration_error=str(refusal))
            return
        routing = gateway.routing
        if routing is not None and loaded.policy is not None:
            routing = msgspec.structs.replace(routing, policy=loaded.policy)
            routing.router.expect_policy(loaded.policy.revision)
            if routing.canaries is not None and loaded.canaries is not None:
                routing.canaries.use(loaded.canaries)
        self.current = msgspec.structs.replace(
            gateway, upstreams=loaded.upstreams, routing=routing, configuration_error=None
        )
        gateway.metrics.reloaded(refused=False)
        LOG.info("reloaded%s", f", policy {routing.policy.revision}" if routing else "")

    async def close(self) -> None:
        self._watcher.cancel()
        await asyncio.wait({self._watcher})

    async def _watch(self) -> None:
        """Compare contents, not dates: a mounted ConfigMap changes by a switched link."""
        if file_contents(self.current.settings) != self._seen:
            self.reload()


LIVE_GATEWAY = web.AppKey("live_gateway", LiveGateway)


def gateway_of(request: web.Request) -> Gateway:
    """Return the gateway in use now; a handler asks once, so that no reload reaches into its request."""
    return request.app[LIVE_GATEWAY].current
