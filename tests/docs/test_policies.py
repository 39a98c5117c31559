"""Every YAML example is a file, or a part of one, that the product would load."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from router_proxy.configuration.upstreams_file import load_upstreams
from routing_policy.policy_file import load_cases, load_policy

from .documents import Block, all_blocks

# What loads an example, by a key that only such a file has; a policy may carry tests, so they come last.
LOADERS: dict[str, Callable[[Path], Any]] = {
    "threshold_min_conf": load_policy,
    "upstreams": load_upstreams,
    "tests": load_cases,
}
EXAMPLES = [pytest.param(block, id=block.place) for block in all_blocks("yaml") if yaml.safe_load(block.text)]


@pytest.mark.parametrize("block", EXAMPLES)
def test_a_yaml_example_loads(block: Block, tmp_path: Path) -> None:
    file = tmp_path / "example.yaml"
    file.write_text(block.text, encoding="utf-8")
    kind = next(key for key in LOADERS if key in yaml.safe_load(block.text))

    loaded = LOADERS[kind](file)

    assert loaded
