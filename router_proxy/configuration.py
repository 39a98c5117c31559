"""The two files that can change while the proxy runs: read together, checked together, refused together."""

from collections.abc import Mapping

import msgspec

from routing_policy.policy import Policy, policy_targets
from routing_policy.policy_file import load_policy

from .errors import ConfigurationInvalid
from .settings import Settings
from .upstreams import Upstreams
from .upstreams_file import load_upstreams


class Configuration(msgspec.Struct, frozen=True, kw_only=True):
    """`policy` is None while routing is not enabled."""

    upstreams: Upstreams
    policy: Policy | None


def load_configuration(
    settings: Settings, environ: Mapping[str, str], previous: Upstreams | None = None
) -> Configuration:
    """Read policy and upstreams; ConfigurationInvalid or PolicyInvalid says why they must not be served.

    Endpoints that `previous` has too keep what is known about them.
    """
    upstreams = Upstreams(load_upstreams(settings.upstreams), environ, settings.upstreams, previous)
    policy = load_policy(settings.config) if settings.enabled else None
    if policy is not None:
        _check_targets(policy, upstreams, settings)
    return Configuration(upstreams=upstreams, policy=policy)


def _check_targets(policy: Policy, upstreams: Upstreams, settings: Settings) -> None:
    for target in policy_targets(policy).values():
        if target.model not in upstreams:
            expected = f"expected a model named in {settings.upstreams}, got {target.model!r}"
            raise ConfigurationInvalid(policy.file, f"target {target.name!r}: {expected}")
