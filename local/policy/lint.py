"""Every check that a policy passes before it is served, made at once and with line numbers, and what to warn about."""

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec
import yaml

from router_proxy.configuration.upstreams_file import load_upstreams
from router_proxy.errors import ConfigurationInvalid
from routing_policy.bundle import Bundle, read_bundle
from routing_policy.errors import BundleInvalid, FileInvalid, PolicyInvalid
from routing_policy.keywords import KEYWORD
from routing_policy.policy import Policy
from routing_policy.policy_checks import label_problems, policy_warnings, softmax_warnings, target_problems
from routing_policy.policy_file import load_cases, load_policy
from routing_policy.problem import Problem
from routing_policy.versions import served_versions
from routing_policy.yaml_document import read_file


class Upstreams(msgspec.Struct, frozen=True, kw_only=True):
    """The models an upstreams file serves; None where the file itself has problems."""

    file: Path
    models: list[str] | None
    problems: list[Problem]


def lint_upstreams(file: Path) -> Upstreams:
    """Check an upstreams file by itself and list the models it serves."""
    try:
        return Upstreams(file=file, models=list(load_upstreams(file).upstreams), problems=[])
    except ConfigurationInvalid as exc:
        return Upstreams(file=file, models=None, problems=_by_line(file, exc.problems))


def lint_policy(file: Path, upstreams: Upstreams, repositories: Sequence[Path]) -> list[Problem]:
    """Check the policy in `file` by itself, against the models served and against its classifier.

    The classifier is the one installed in the first of `repositories` that has any version of it.
    """
    try:
        policy = load_policy(file)
    except PolicyInvalid as exc:
        return _by_line(file, exc.problems)
    problems = [*_against_classifier(policy, repositories), *policy_warnings(policy)]
    if upstreams.models is not None:
        problems += target_problems(policy, upstreams.models, str(upstreams.file))
    return _by_line(file, problems)


def _against_classifier(policy: Policy, repositories: Sequence[Path]) -> list[Problem]:
    if policy.classifier == KEYWORD:
        return []
    try:
        installed = (_installed_bundle(repository / policy.classifier) for repository in repositories)
        bundle = next(filter(None, installed), None)
    except BundleInvalid as exc:
        return [Problem(file=policy.file, path="$.classifier", reason=str(exc))]
    if bundle is None:
        places = " or ".join(map(str, repositories))
        reason = f"labels were not checked: no version of {policy.classifier} in {places}"
        return [Problem(file=policy.file, path="$.classifier", reason=reason, severity="warning")]
    problems = [*label_problems(policy, bundle.labels), *_labels_of_tests(policy, bundle.labels)]
    if bundle.problem_type == "single_label_classification":
        problems += softmax_warnings(policy)
    return problems


def _installed_bundle(classifier: Path) -> Bundle | None:
    versions = served_versions(classifier)
    return read_bundle(versions[max(versions)]) if versions else None


def _labels_of_tests(policy: Policy, labels: list[str]) -> Iterator[Problem]:
    for index, case in enumerate(load_cases(Path(policy.file))):
        for label in case.scores or ():
            if label not in labels:
                expected = f"expected a label of {policy.classifier} {sorted(labels)}, got {label!r}"
                path = f"$.tests[{index}].scores.{label}"
                yield Problem(file=policy.file, path=path, reason=expected, severity="warning")


def shown(problem: Problem) -> str:
    """Return a problem as compilers write theirs."""
    return f"{problem.file}:{problem.line}: {problem.severity}: {problem.path}: {problem.reason}"


def _by_line(file: Path, problems: Iterable[Problem]) -> list[Problem]:
    """Return the problems of a file with the lines to look at, in their order."""
    document = _document(file)
    placed = [
        msgspec.structs.replace(problem, line=problem.line or line_of(document, problem.path)) for problem in problems
    ]
    return sorted(placed, key=lambda problem: problem.line or 0)


def _document(file: Path) -> yaml.Node | None:
    """Return the file as nodes with their lines; None where it cannot be read as YAML."""
    try:
        return yaml.compose(read_file(file), Loader=yaml.SafeLoader)
    except (FileInvalid, yaml.YAMLError, ValueError, RecursionError):
        return None


def line_of(document: yaml.Node | None, path: str) -> int:
    """Return the line to show for an error at `path`; the nearest parent's where the path ends early."""
    return 1 if document is None else _line(document, path.removeprefix("$")) + 1


def _line(node: yaml.Node, path: str) -> int:
    line = node.start_mark.line
    while step := _step(node, path):
        line, node, path = step
    return int(line)


def _step(node: yaml.Node, path: str) -> tuple[int, yaml.Node, str] | None:
    """Go one key or index down: the line it stands on, the node there, and the rest of the path."""
    if isinstance(node, yaml.MappingNode) and path.startswith("."):
        for key, value in sorted(node.value, key=lambda item: -len(item[0].value)):  # keys may hold dots themselves
            rest = path[1:].removeprefix(key.value)
            if path[1:].startswith(key.value) and rest[:1] in {"", ".", "["}:
                return key.start_mark.line, value, rest
    if isinstance(node, yaml.SequenceNode) and (index := re.match(r"\[(\d+)\]", path)):
        item = node.value[int(index[1])]
        return item.start_mark.line, item, path[index.end() :]
    return None
