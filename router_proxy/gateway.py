"""What the handlers share: everything one proxy process holds open and goes by, as one value."""

import time

import aiohttp
import msgspec

from routing_policy.policy import Policy

from .admission import Admission
from .metrics import Metrics
from .router_client import RouterClient
from .settings import Settings
from .shadow import Shadow
from .stored_responses import StoredResponses
from .upstreams import Upstreams


class Routing(msgspec.Struct, frozen=True, kw_only=True):
    """What exists only while routing is enabled."""

    policy: Policy
    router: RouterClient
    shadow: Shadow


class Gateway(msgspec.Struct, frozen=True, kw_only=True):
    """`routing` is None when SEMROUTER_ENABLED is not set: no connection to Triton, no alias, mode off."""

    settings: Settings
    upstreams: Upstreams
    session: aiohttp.ClientSession
    metrics: Metrics
    admission: Admission
    stored: StoredResponses
    routing: Routing | None
    configuration_error: str | None = None  # why the files as they are now are not the ones in use
    started_at: int = msgspec.field(default_factory=lambda: int(time.time()))
