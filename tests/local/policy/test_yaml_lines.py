"""An error's path leads to the line to show."""

import pytest

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
    ],
)
def test_a_path_leads_to_its_line(path: str, line: int) -> None:
    assert line_of(POLICY, path, "expected something else") == line


def test_an_unknown_field_is_shown_where_it_stands() -> None:
    assert line_of(POLICY, "$.rules[0]", "object contains unknown field rationale") == 11


@pytest.mark.parametrize(
    ("data", "reason", "line"),
    [
        pytest.param(
            b"a: [", 'is not valid YAML: began in "x", line 1, column 4: ended in "x", line 3', 3, id="syntax"
        ),
        pytest.param(b"\xff", "is not valid YAML: 'utf-8' codec can't decode", 1, id="not text"),
        pytest.param(b"", "is empty; expected a mapping", 1, id="empty"),
        pytest.param(b"", "cannot be read: No such file or directory", 1, id="missing"),
        pytest.param(b"# nothing", "expected object, got null", 1, id="only a comment"),
    ],
)
def test_a_file_without_paths_is_shown_at_the_line_its_reader_names(data: bytes, reason: str, line: int) -> None:
    assert line_of(data, "$", reason) == line
