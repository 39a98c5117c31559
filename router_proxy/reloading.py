"""Taking changed files into use while requests run: each request sees one gateway from beginning to end."""

import asyncio
import logging
from collections.abc import Mapping

import msgspec

from routing_policy.errors import RoutingPolicyError

from .configuration import Contents, file_contents, load_configuration
from .errors import ConfigurationInvalid
from .gateway import Gateway

LOG = logging.getLogger("semrouter.proxy")
_WATCH_SECONDS = 1.0


class LiveGateway:
    """Holds the gateway in use; a reload replaces it as a whole or leaves it as it is."""

    def __init__(self, gateway: Gateway, environ: Mapping[str, str], seen: Contents) -> None:
        self.current = gateway
        self._environ = environ
        self._seen = seen
        self._watcher = asyncio.create_task(self._watch())

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
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            if file_contents(self.current.settings) != self._seen:
                self.reload()
