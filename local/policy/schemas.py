"""JSON schemas of the YAML files, made from the types that load them, for editors to complete and check by."""

from pathlib import Path
from typing import Any

import msgspec

from router_proxy.configuration.canaries_file import CanariesForm
from router_proxy.configuration.upstreams_file import UpstreamsForm
from routing_policy.policy_forms import BinaryForm, RulesForm

POLICY_SCHEMA = "semantic-router.schema.json"
UPSTREAMS_SCHEMA = "upstreams.schema.json"
CANARIES_SCHEMA = "canaries.schema.json"
_REFERENCE = "#/$defs/{name}"


def schemas() -> dict[str, bytes]:
    """Return each schema file's content by name."""
    return {
        POLICY_SCHEMA: _schema("A policy of triton-semantic-router, in either form", [RulesForm, BinaryForm]),
        UPSTREAMS_SCHEMA: _schema("The upstreams of triton-semantic-router", [UpstreamsForm]),
        CANARIES_SCHEMA: _schema("The canaries of triton-semantic-router", [CanariesForm]),
    }


def write_schemas(directory: Path) -> list[Path]:
    """Write the schema files into `directory` and return them."""
    files = {directory / name: content for name, content in schemas().items()}
    for file, content in files.items():
        file.write_bytes(content)
    return list(files)


def _schema(title: str, forms: list[type[msgspec.Struct]]) -> bytes:
    references, definitions = msgspec.json.schema_components(forms, ref_template=_REFERENCE)
    document: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        **({"anyOf": list(references)} if len(forms) > 1 else dict(*references)),
        "$defs": definitions,
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"
