"""The JSON schemas in configs/ are those of the code, and the YAML files there point to them."""

import re
from pathlib import Path

import msgspec
import pytest

from local.policy.schemas import schemas, write_schemas

CONFIGS = Path(__file__).parents[3] / "configs"


@pytest.mark.parametrize("name", sorted(schemas()))
def test_the_schema_in_configs_is_current_else_run_semrouter_policy_schema(name: str) -> None:
    assert (CONFIGS / name).read_bytes() == schemas()[name]


@pytest.mark.parametrize(
    "name", ["semantic-router-binary.yaml", "semantic-router.yaml", "upstreams.yaml", "canaries.yaml"]
)
def test_an_editor_finds_the_schema_of_a_file_in_configs(name: str) -> None:
    first_line = (CONFIGS / name).read_text().splitlines()[0]

    named = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", first_line)

    assert named is not None
    assert (CONFIGS / named[1]).name in schemas()


def test_schemas_are_written_where_asked(tmp_path: Path) -> None:
    files = write_schemas(tmp_path)

    assert {file.name: file.read_bytes() for file in files} == schemas()


@pytest.mark.parametrize("name", sorted(schemas()))
def test_every_reference_has_its_definition_and_no_key_is_left_open(name: str) -> None:
    text = schemas()[name].decode()
    definitions = msgspec.json.decode(text)["$defs"]

    assert set(re.findall(r'"#/\$defs/(\w+)"', text)) == definitions.keys()
    assert all(definition["additionalProperties"] is False for definition in definitions.values())


def test_both_forms_of_a_policy_are_offered() -> None:
    policy = msgspec.json.decode(schemas()["semantic-router.schema.json"])

    assert [form["$ref"] for form in policy["anyOf"]] == ["#/$defs/RulesForm", "#/$defs/BinaryForm"]
    assert policy["$defs"]["BinaryForm"]["properties"]["reasoning_cutoff"]["exclusiveMinimum"] == 0
