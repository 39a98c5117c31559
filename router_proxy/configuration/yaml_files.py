"""Our own YAML files as values: decoded and checked by one call, refused with file, path and reason."""

from pathlib import Path
from typing import TypeVar

import msgspec

from router_proxy.errors import ConfigurationInvalid
from routing_policy.errors import FileInvalid
from routing_policy.forms import convert_form
from routing_policy.yaml_document import read_document

Form = TypeVar("Form", bound=msgspec.Struct)


def load_form(file: Path, form: type[Form]) -> Form:
    """Read `file` as a `form`; ConfigurationInvalid says what is wrong and where."""
    try:
        return convert_form(read_document(file), form, str(file))
    except FileInvalid as exc:
        raise ConfigurationInvalid(*exc.problems) from exc
