"""Every check that serving makes is made by lint, with the same words and a line number."""

from pathlib import Path

import msgspec
import pytest

from local.policy.lint import Upstreams, lint_policy, lint_upstreams, shown
from routing_policy.bundle import Bundle, bundle_revision
from routing_policy.errors import PolicyInvalid
from routing_policy.policy_checks import check_labels, check_served
from routing_policy.policy_file import load_policy
from routing_policy.problem import Problem

CONFIGS = Path(__file__).parents[3] / "configs"
RULES = """\
abstain_onprem_model: small
threshold_min_conf: 0.3
classifier: topics
weights:
  math: 2
rules:
  - when_any: [{label: math, min_conf: 0.5}]
    route_onprem_model: big
    rationale: math
  - when_any: [{label: code, min_conf: 0.5}]
    route_onprem_model: big
    rationale: code
"""
UPSTREAMS = """\
upstreams:
  small:
    endpoints: [http://localhost:1]
  big:
    endpoints: [http://localhost:2]
"""


def install_bundle(repository: Path, name: str, version: int, labels: list[str], problem: str = "single") -> None:
    files = {"model.onnx": "0" * 64, "tokenizer.json": "0" * 64}
    bundle = Bundle(
        revision=bundle_revision(files, labels, 1.0),
        labels=labels,
        problem_type=f"{problem}_label_classification",  # type: ignore[arg-type]  # one of the two
        max_length=256,
        buckets=[256],
        temperature=1.0,
        inputs=["input_ids", "attention_mask"],
        output="logits",
        files=files,
        source={},
        precision="fp32",
        canaries=[],
        figures={},
    )
    directory = repository / name / str(version)
    directory.mkdir(parents=True)
    (directory / "bundle.json").write_bytes(msgspec.json.encode(bundle))


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    install_bundle(tmp_path, "topics", 9, ["old", "older"])
    install_bundle(tmp_path, "topics", 10, ["math", "code", "general"], problem="multi")
    return tmp_path


def lint(repository: Path, policy: str, upstreams: str = UPSTREAMS) -> list[str]:
    """Lint the two texts as files and return the findings without the folder's name."""
    file, upstreams_file = repository / "policy.yaml", repository / "upstreams.yaml"
    file.write_text(policy)
    upstreams_file.write_text(upstreams)
    served = lint_upstreams(upstreams_file)
    findings = [*served.problems, *lint_policy(file, served, [repository])]
    return [shown(finding).replace(f"{repository}/", "") for finding in findings]


def test_a_policy_that_can_be_served_has_no_findings(repository: Path) -> None:
    assert lint(repository, RULES) == []


@pytest.mark.parametrize(
    ("old", "new", "place", "reason"),
    [
        pytest.param(
            "threshold_min_conf: 0.3",
            "threshold_min_conf: 1.4",
            "2: error: $.threshold_min_conf",
            "expected float <= 1.0, got 1.4",
            id="bound",
        ),
        pytest.param(
            "threshold_min_conf",
            "treshold_min_conf",
            "2: error: $.treshold_min_conf",
            "unknown key; did you mean threshold_min_conf?",
            id="typo",
        ),
        pytest.param(
            "label: code",
            "label: cooking",
            "10: error: $.rules[1].when_any[0].label",
            "expected a label of topics ['code', 'general', 'math'], got 'cooking'",
            id="label the classifier lacks",
        ),
        pytest.param(
            "route_onprem_model: big\n    rationale: code",
            "route_onprem_model: huge\n    rationale: code",
            "11: error: $.rules[1].route_onprem_model",
            "expected a model named in upstreams.yaml, got 'huge'",
            id="target nobody serves",
        ),
        pytest.param(
            "label: code",
            "label: math",
            "10: warning: $.rules[1]",
            "cannot fire: earlier rules take its labels at the same or lower min_conf",
            id="rule that cannot fire",
        ),
        pytest.param(
            "  math: 2",
            "  general: 2",
            "5: warning: $.weights.general",
            "cannot matter: no rule names this label",
            id="weight that cannot matter",
        ),
        pytest.param(
            "classifier: topics",
            "classifier: absent",
            "3: warning: $.classifier",
            "labels were not checked: no version of absent in .",
            id="classifier that is not installed",
        ),
    ],
)
def test_one_defect_gives_one_finding(repository: Path, old: str, new: str, place: str, reason: str) -> None:
    findings = lint(repository, RULES.replace(old, new))

    assert [finding.replace(str(repository), ".") for finding in findings] == [f"policy.yaml:{place}: {reason}"]


def test_the_first_repository_with_the_classifier_counts(repository: Path) -> None:
    file = repository / "policy.yaml"
    file.write_text(RULES)
    upstreams = Upstreams(file=repository, models=None, problems=[])

    assert lint_policy(file, upstreams, [repository / "absent", repository]) == []


def test_labels_of_a_keyword_policy_are_not_compared(repository: Path) -> None:
    assert lint(repository, RULES.replace("classifier: topics", "classifier: keyword")) == []


def test_all_wrong_labels_and_targets_are_found_at_once_by_line(repository: Path) -> None:
    wrong = RULES.replace("label: math", "label: sports").replace("label: code", "label: cooking")

    errors = [
        finding.split(": ")[2] for finding in lint(repository, wrong.replace("small", "tiny")) if "error" in finding
    ]

    assert errors == ["$.abstain_onprem_model", "$.rules[0].when_any[0].label", "$.rules[1].when_any[0].label"]


def test_weights_are_judged_by_the_kind_of_scores_the_classifier_gives(repository: Path) -> None:
    install_bundle(repository, "topics", 11, ["math", "code", "general"])

    findings = lint(repository, RULES.replace("label: code, min_conf: 0.5", "label: code, min_conf: 0.6"))

    reason = "cannot matter: its min_conf and any other label's add up to more than 1"
    assert findings == [f"policy.yaml:5: warning: $.weights.math: {reason}"]


def test_labels_in_tests_are_compared_with_the_classifiers(repository: Path) -> None:
    tests = "tests:\n  - scores: {math: 0.9, maths: 1}\n    expect: {target: big}\n"

    findings = lint(repository, RULES + tests)

    expected = "expected a label of topics ['code', 'general', 'math'], got 'maths'"
    assert findings == [f"policy.yaml:14: warning: $.tests[0].scores.maths: {expected}"]


def test_a_damaged_bundle_is_an_error(repository: Path) -> None:
    (repository / "topics" / "10" / "bundle.json").write_text("{}")

    findings = lint(repository, RULES)

    assert len(findings) == 1
    assert findings[0].startswith("policy.yaml:3: error: $.classifier: topics/10/bundle.json: ")


@pytest.mark.parametrize(
    ("upstreams", "line"),
    [
        pytest.param(UPSTREAMS.replace("http://localhost:2", "http://localhost:2/v1"), 5, id="URL with /v1"),
        pytest.param("upstreams: {}\nlimits: [1, 2}", 2, id="not YAML"),
        pytest.param("", 1, id="empty"),
        pytest.param("# more\n" + UPSTREAMS + "limit: 1\n", 7, id="unknown key"),
    ],
)
def test_a_wrong_upstreams_file_is_an_error_and_targets_are_then_not_compared_with_it(
    repository: Path, upstreams: str, line: int
) -> None:
    findings = lint(repository, RULES.replace("big", "huge"), upstreams)

    assert [finding.split(": ")[:2] for finding in findings] == [[f"upstreams.yaml:{line}", "error"]]


def test_files_that_are_not_there_are_errors(repository: Path) -> None:
    served = lint_upstreams(repository / "no-upstreams.yaml")

    findings = [*served.problems, *lint_policy(repository / "no-policy.yaml", served, [repository])]

    assert [(Path(f.file).name, f.line, f.reason) for f in findings] == [
        ("no-upstreams.yaml", 1, "cannot be read: No such file or directory"),
        ("no-policy.yaml", 1, "cannot be read: No such file or directory"),
    ]


@pytest.mark.parametrize(
    "policy",
    [
        pytest.param(RULES.replace("label: code", "label: cooking"), id="unknown label"),
        pytest.param(RULES.replace("route_onprem_model: big", "route_onprem_model: huge"), id="unknown target"),
        pytest.param(RULES.replace("threshold_min_conf", "treshold"), id="typo"),
    ],
)
def test_serving_refuses_with_the_same_path_and_reason(repository: Path, policy: str) -> None:
    found = lint(repository, policy)[0]
    file = repository / "policy.yaml"

    with pytest.raises(PolicyInvalid) as refused:
        served_policy = load_policy(file)
        check_labels(served_policy, ["math", "code", "general"])
        check_served(served_policy, ["small", "big"], "upstreams.yaml")

    assert found.endswith(f"error: {refused.value.problems[0].path}: {refused.value.problems[0].reason}")


@pytest.mark.parametrize("name", ["semantic-router-binary.yaml", "semantic-router.yaml"])
def test_the_shipped_policies_fit_the_shipped_upstreams(name: str, tmp_path: Path) -> None:
    findings = lint_policy(CONFIGS / name, lint_upstreams(CONFIGS / "upstreams.yaml"), [tmp_path])

    assert [finding.path for finding in findings] == ["$.classifier"]


def test_a_finding_reads_as_compilers_write_theirs() -> None:
    problem = Problem(file="policy.yaml", line=3, path="$.a", reason="expected b")

    assert shown(problem) == "policy.yaml:3: error: $.a: expected b"
