"""The files that can change while the proxy runs: read together, checked together, refused together."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import msgspec

from routing_policy.policy import Policy, check_served
from routing_policy.policy_file import load_policy

from .canaries_file import CanariesForm, load_canaries
from .settings import Settings
from .upstreams import Upstreams
from .upstreams_file import load_upstreams

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
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError:
        return None
