"""What the handlers share: everything one proxy process holds open, under one typed key."""

import time
from pathlib import Path

import aiohttp
import msgspec
from aiohttp import web

from routing_policy.policy import Policy, policy_targets

from .errors import ConfigurationInvalid
from .metrics import Metrics
from .router_client import RouterClient
from .settings import Settings
from .shadow import Shadow
from .upstream_health import UpstreamHealth
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
    routing: Routing | None
    health: UpstreamHealth
    started_at: int = msgspec.field(default_factory=lambda: int(time.time()))


GATEWAY = web.AppKey("gateway", Gateway)
REQUEST_ID = web.RequestKey("request_id", str)


def check_targets(policy: Policy, upstreams: Upstreams, upstreams_file: Path) -> None:
    """Raise ConfigurationInvalid unless every target of the policy has an upstream."""
    for target in policy_targets(policy).values():
        if target.model not in upstreams:
            raise ConfigurationInvalid(
                policy.file, f"target {target.name!r}: expected a model named in {upstreams_file}, got {target.model!r}"
            )
