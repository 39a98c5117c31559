"""An error's path leads to the line to show."""

import pytest
import yaml

from local.policy.lint import line_of

POLICY = b"""\
# a comment
threshold_min_conf: 0.5
weights:
  math: 1
  a.b/c: 2
rules:
  - when_any:
      - label: math
        min_conf: 0.5
      - { label: code, min_conf: 0.5 }
    rationale: hard
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        pytest.param("$", 2, id="the document"),
        pytest.param("$.threshold_min_conf", 2, id="key"),
        pytest.param("$.weights.a.b/c", 5, id="key with dots"),
        pytest.param("$.weights[...]", 3, id="a key that is not told"),
        pytest.param("$.rules[0]", 7, id="item"),
        pytest.param("$.rules[0].when_any[0].min_conf", 9, id="key of an item"),
        pytest.param("$.rules[0].when_any[1].label", 10, id="inline item"),
        pytest.param("$.rules[0].route_onprem_model", 7, id="missing key: its parent"),
        pytest.param("$.abstain_onprem_model", 2, id="missing key of the document"),
        pytest.param("$.rules[0].rationale", 11, id="key after a list"),
    ],
)
def test_a_path_leads_to_its_line(path: str, line: int) -> None:
    assert line_of(yaml.compose(POLICY), path) == line


def test_a_file_that_cannot_be_read_as_yaml_is_shown_at_its_first_line() -> None:
    assert line_of(None, "$") == 1
