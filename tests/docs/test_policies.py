"""Every YAML example is a file that the product would load."""

from pathlib import Path

import pytest

from router_proxy.upstreams_file import load_upstreams
from routing_policy.policy_file import parse_policy

from .documents import Block, all_blocks


def is_policy(block: Block) -> bool:
    return "threshold_min_conf" in block.text


EXAMPLES = all_blocks("yaml")
POLICIES = [pytest.param(block, id=block.place) for block in EXAMPLES if is_policy(block)]
UPSTREAMS = [pytest.param(block, id=block.place) for block in EXAMPLES if not is_policy(block)]


@pytest.mark.parametrize("block", POLICIES)
def test_a_policy_example_loads(block: Block) -> None:
    policy = parse_policy(block.text.encode(), block.place)

    assert policy.revision


@pytest.mark.parametrize("block", UPSTREAMS)
def test_every_other_yaml_example_is_an_upstreams_file(block: Block, tmp_path: Path) -> None:
    file = tmp_path / "upstreams.yaml"
    file.write_text(block.text, encoding="utf-8")

    form = load_upstreams(file)

    assert form.upstreams
