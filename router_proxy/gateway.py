"""What the handlers share: everything one proxy process holds open and goes by, as one value."""

import time

import msgspec

from router_proxy.background.canaries import Canaries
from router_proxy.background.shadow import Shadow
from router_proxy.configuration.settings import Settings
from router_proxy.record.decision_log import DecisionLog
from router_proxy.record.metrics import Metrics
from router_proxy.record.tracing import Tracing
from router_proxy.request.scanning import Scanner
from router_proxy.routing.router_client import PROBE_TEXT, RouterClient
from router_proxy.upstreams.connections import Connections
from router_proxy.upstreams.stored_responses import StoredResponses
from router_proxy.upstreams.upstreams import Upstreams
from routing_policy.policy import Policy

from .admission import Admission


class Routing(msgspec.Struct, frozen=True, kw_only=True):
    """What exists only while routing is enabled; `canaries` is None when none are to be asked."""

    policy: Policy
    router: RouterClient
    shadow: Shadow
    canaries: Canaries | None

    @property
    def own_texts(self) -> list[str]:
        """Texts that may be judged at any time, because nobody sent them."""
        return (self.canaries.texts if self.canaries else None) or [PROBE_TEXT]


class Gateway(msgspec.Struct, frozen=True, kw_only=True):
    """`routing` is None when SEMROUTER_ENABLED is not set: no connection to Triton, no alias, mode off."""

    settings: Settings
    upstreams: Upstreams
    connections: Connections
    metrics: Metrics
    admission: Admission
    scanner: Scanner
    decision_log: DecisionLog
    tracing: Tracing
    stored: StoredResponses
    routing: Routing | None
    configuration_error: str | None = None  # why the files as they are now are not the ones in use
    started_at: int = msgspec.field(default_factory=lambda: int(time.time()))
