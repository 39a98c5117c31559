"""The one place where the Triton model reads its environment; the names and meanings are the guide's."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """SEMROUTER_CONFIG, SEMROUTER_MAX_LENGTH and SEMROUTER_CLASSIFIER; an empty classifier means the policy's.

    SEMROUTER_LAST_POLICY is where the policy in force is kept for the next start, set by who starts Triton.
    """

    config: str
    max_length: Annotated[int, msgspec.Meta(ge=2)] = 256
    classifier: str = ""
    last_policy: str = ""

    @property
    def policy_file(self) -> Path:
        return Path(self.config)

    @property
    def last_policy_file(self) -> Path | None:
        return Path(self.last_policy) if self.last_policy else None


def read_environment(variables: Mapping[str, str]) -> Environment:
    """Pick our variables out of `variables`; ValueError names the one that is missing or wrong."""
    fields = msgspec.structs.fields(Environment)
    given = {f.name: variables[name] for f in fields if (name := f"SEMROUTER_{f.name.upper()}") in variables}
    try:
        return msgspec.convert(given, type=Environment, strict=False)
    except msgspec.ValidationError as exc:
        raise ValueError(f"SEMROUTER_* environment: {exc}") from exc
