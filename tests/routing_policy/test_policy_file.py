"""What a policy file may say, and how a wrong one is refused: file, path, expectation, what was there."""

from pathlib import Path

import pytest

from routing_policy.errors import PolicyInvalid
from routing_policy.policy import BinaryPolicy, Condition, RulesPolicy, Target
from routing_policy.policy_file import load_cases, load_policy, parse_policy

CONFIGS = Path(__file__).parents[2] / "configs"
LLAMA = "meta-llama/Meta-Llama-3.1-8B-Instruct"
DEEPSEEK = "deepseek-ai/DeepSeek-R1-Distill-Llama-8B"
BINARY = b"""
reasoning_model: big
general_model: small
abstain_onprem_model: small
threshold_min_conf: 0.6
"""
RULES = b"""
abstain_onprem_model: small
threshold_min_conf: 0.5
weights: {math: 2}
rules:
  - {when_any: [{label: math, min_conf: 0.5}], route_onprem_model: big, rationale: math}
"""


def test_the_guides_binary_form_loads_unmodified() -> None:
    policy = load_policy(CONFIGS / "semantic-router-binary.yaml")

    assert isinstance(policy, BinaryPolicy)
    assert policy.reasoning == Target(name=DEEPSEEK, model=DEEPSEEK, params={})
    assert policy.general == policy.abstain == Target(name=LLAMA, model=LLAMA, params={})
    assert (policy.threshold_min_conf, policy.reasoning_cutoff) == (0.6, 0.5)
    assert policy.classifier == "reasoning_classifier"


def test_the_guides_rules_form_loads_unmodified() -> None:
    policy = load_policy(CONFIGS / "semantic-router.yaml")

    assert isinstance(policy, RulesPolicy)
    assert [rule.rationale for rule in policy.rules] == ["reasoning", "code", "general"]
    assert policy.rules[0].when_any[1] == Condition(label="math", min_conf=0.55)
    assert policy.weights == {"reasoning": 60, "math": 60, "code": 50, "general": 20}
    assert policy.classifier == "topic_classifier"


def test_a_target_may_name_one_model_twice_with_other_parameters() -> None:
    thinking = b"{name: thinking, model: qwen, params: {chat_template_kwargs: {enable_thinking: true}}}"

    policy = parse_policy(BINARY.replace(b"reasoning_model: big", b"reasoning_model: " + thinking), "p.yaml")

    assert isinstance(policy, BinaryPolicy)
    expected = {"chat_template_kwargs": {"enable_thinking": True}}
    assert policy.reasoning == Target(name="thinking", model="qwen", params=expected)


@pytest.mark.parametrize(
    ("same", "content"),
    [
        pytest.param(True, b"# a comment\n" + BINARY, id="comment"),
        pytest.param(True, b"\n".join(reversed(BINARY.strip().split(b"\n"))), id="key order"),
        pytest.param(True, BINARY + b"reasoning_cutoff: 0.5\n", id="a default written out"),
        pytest.param(True, BINARY + b"tests: [{scores: {reasoning: 1}, expect: {target: big}}]", id="tests"),
        pytest.param(False, BINARY.replace(b"0.6", b"0.61"), id="threshold"),
        pytest.param(False, BINARY.replace(b"big", b"bigger"), id="target"),
        pytest.param(False, BINARY + b"reasoning_cutoff: 0.4\n", id="cutoff"),
    ],
)
def test_the_revision_changes_with_the_meaning_and_only_with_it(same: bool, content: bytes) -> None:  # noqa: FBT001 - a table column
    revision = parse_policy(content, "p.yaml").revision

    assert len(revision) == 12
    assert (revision == parse_policy(BINARY, "p.yaml").revision) is same


@pytest.mark.parametrize(
    ("content", "path", "reason"),
    [
        pytest.param(b"", "$", "is empty; expected a mapping", id="empty"),
        pytest.param(b"a: [", "$", "is not valid YAML", id="malformed"),
        pytest.param(b"\xff\xfe\xfa", "$", "is not valid YAML", id="not text"),
        pytest.param(
            b"!!python/object:os.system {}", "$", "expected plain YAML, got the tag !!python/", id="python object"
        ),
        pytest.param(b"? [a]\n: b", "$", "expected text as a key, got a list", id="unhashable key"),
        pytest.param(BINARY + b"general_model: other", "$", "duplicate key 'general_model'", id="key twice"),
        pytest.param(b"- a", "$", "expected a mapping, got list", id="list"),
        pytest.param(b"threshold_min_conf: 0.6", "$", "expected `reasoning_model` (binary form)", id="neither form"),
        pytest.param(BINARY + b"treshold: 1", "$.treshold", "unknown key; expected one of", id="unknown key"),
        pytest.param(
            BINARY.replace(b"0.6", b"1.4"), "$.threshold_min_conf", "expected float <= 1.0, got 1.4", id="1.4"
        ),
        pytest.param(BINARY.replace(b"0.6", b"-1"), "$.threshold_min_conf", "got -1", id="negative"),
        pytest.param(
            BINARY.replace(b"0.6", b".nan"),
            "$.threshold_min_conf",
            "expected a finite number, got .nan",
            id="not a number",
        ),
        pytest.param(BINARY.replace(b"0.6", b"high"), "$.threshold_min_conf", "expected float, got str", id="a word"),
        pytest.param(BINARY + b"reasoning_cutoff: 0\n", "$.reasoning_cutoff", "expected float > 0", id="cutoff of 0"),
        pytest.param(BINARY.replace(b"small", b"''"), "$.general_model", "expected str matching", id="no name"),
        pytest.param(BINARY.replace(b"small", b'"a\\nb"'), "$.general_model", "expected str matching", id="line break"),
        pytest.param(BINARY.replace(b"small", b"router"), "$.abstain_onprem_model", "the alias", id="alias"),
        pytest.param(
            BINARY.replace(b"reasoning_model: big", b"reasoning_model: {name: small, model: big}"),
            "$.reasoning_model",
            "expected one meaning per target name, got 'small' with two",
            id="one name for two targets",
        ),
        pytest.param(
            BINARY + b"tests: [{expect: {target: big}}]",
            "$.tests[0]",
            "expected either scores or a text",
            id="empty test",
        ),
        pytest.param(
            BINARY + b"tests: [{text: hello, expect: {}}]",
            "$.tests[0].expect",
            "expected a target, a rationale or a winner, got none",
            id="test that expects nothing",
        ),
        pytest.param(RULES.replace(b"[{label: math, min_conf: 0.5}]", b"[]"), "$.rules[0].when_any", "", id="no label"),
        pytest.param(
            RULES.replace(b"min_conf: 0.5}", b"min_conf: 1.4}"),
            "$.rules[0].when_any[0].min_conf",
            "expected float <= 1.0, got 1.4",
            id="min_conf of 1.4",
        ),
        pytest.param(RULES.replace(b"math: 2", b"math: -2"), "$.weights", "expected float >= 0", id="negative weight"),
        pytest.param(
            RULES.replace(b"math: 2", b"math: .inf"),
            "$.weights",
            "expected a finite number, got .inf",
            id="infinite weight",
        ),
    ],
)
def test_a_wrong_policy_is_refused_with_its_path(content: bytes, path: str, reason: str) -> None:
    with pytest.raises(PolicyInvalid) as refused:
        parse_policy(content, "policy.yaml")

    problem = refused.value.problems[0]
    assert (problem.file, problem.severity) == ("policy.yaml", "error")
    assert problem.path.startswith(path)
    assert reason in problem.reason
    assert str(refused.value).startswith(f"policy.yaml: {problem.path}: {problem.reason}")


def test_a_published_revision_stays_what_it_is() -> None:
    assert load_policy(CONFIGS / "semantic-router-binary.yaml").revision == "45ecd49dbd2d"


@pytest.mark.parametrize("before", [pytest.param(BINARY, id="in a policy"), pytest.param(b"", id="by themselves")])
def test_tests_of_a_policy_are_read_from_it_or_from_a_file_of_their_own(tmp_path: Path, before: bytes) -> None:
    file = tmp_path / "cases.yaml"
    file.write_bytes(before + b"tests: [{text: hello, expect: {target: small}}]")

    cases = load_cases(file)

    assert [(case.text, case.expect.target) for case in cases] == [("hello", "small")]


def test_a_policy_without_tests_has_none(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_bytes(BINARY)

    assert load_cases(file) == []


def test_a_missing_policy_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(PolicyInvalid, match=r"absent\.yaml: \$: cannot be read: No such file or directory"):
        load_policy(tmp_path / "absent.yaml")
