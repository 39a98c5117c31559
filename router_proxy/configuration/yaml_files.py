"""Our own YAML files as values: decoded and checked by one call, refused with file, path and reason."""

from pathlib import Path
from typing import TypeVar

import msgspec

from router_proxy.errors import ConfigurationInvalid
from routing_policy.errors import PolicyInvalid
from routing_policy.policy_file import parse_yaml

Form = TypeVar("Form", bound=msgspec.Struct)


def load_form(file: Path, form: type[Form]) -> Form:
    """Read `file` as a `form`; ConfigurationInvalid says what is wrong and where."""
    try:
        document = parse_yaml(file.read_bytes(), str(file))
    except OSError as exc:
        raise ConfigurationInvalid(str(file), f"cannot be read: {exc.strerror or exc}") from exc
    except PolicyInvalid as exc:  # that is what the shared reader of YAML calls any file it cannot read
        raise ConfigurationInvalid(str(file), exc.reason) from exc
    try:
        return msgspec.convert(document, form)
    except msgspec.ValidationError as exc:
        raise ConfigurationInvalid(str(file), str(exc).replace("`", "")) from exc
