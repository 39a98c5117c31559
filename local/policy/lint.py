"""Every check that a policy passes before it is served, made at once and with line numbers, and what to warn about."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import msgspec
import yaml

from router_proxy.configuration.upstreams_file import load_upstreams
from router_proxy.errors import ConfigurationInvalid
from routing_policy.bundle import Bundle, read_bundle
from routing_policy.errors import BundleInvalid, PolicyInvalid
from routing_policy.keywords import KEYWORD
from routing_policy.policy import Policy
from routing_policy.policy_checks import label_errors, policy_warnings, softmax_warnings, target_errors
from routing_policy.policy_file import load_cases, parse_policy, read_policy_file

Severity = Literal["error", "warning"]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    file: str
    line: int
    severity: Severity
    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.severity}: {self.path}: {self.reason}"


class Upstreams(msgspec.Struct, frozen=True, kw_only=True):
    """The models an upstreams file serves; None where the file itself has findings."""

    file: Path
    models: list[str] | None
    findings: list[Finding]


def lint_upstreams(file: Path) -> Upstreams:
    """Check an upstreams file by itself and list the models it serves."""
    try:
        return Upstreams(file=file, models=list(load_upstreams(file).upstreams), findings=[])
    except ConfigurationInvalid as exc:
        path, reason = _path_and_reason(str(exc).removeprefix(f"{file}: "))
        data = file.read_bytes() if file.is_file() else b""
        return Upstreams(
            file=file, models=None, findings=[_finding(data, "error", PolicyInvalid(str(file), path, reason))]
        )


def lint_policy(file: Path, upstreams: Upstreams, repositories: Sequence[Path]) -> list[Finding]:
    """Check the policy in `file` by itself, against the models served and against its classifier.

    The classifier is the one installed in the first of `repositories` that has any version of it.
    """
    data = b""
    try:
        data = read_policy_file(file)
        policy = parse_policy(data, str(file))
    except PolicyInvalid as exc:
        return [_finding(data, "error", exc)]
    errors, warnings = _against_classifier(policy, repositories)
    if upstreams.models is not None:
        errors += target_errors(policy, upstreams.models, str(upstreams.file))
    warnings += [_invalid(policy, warning) for warning in policy_warnings(policy)]
    findings = [
        *(_finding(data, "error", error) for error in errors),
        *(_finding(data, "warning", warning) for warning in warnings),
    ]
    return sorted(findings, key=lambda finding: finding.line)


def _against_classifier(
    policy: Policy, repositories: Sequence[Path]
) -> tuple[list[PolicyInvalid], list[PolicyInvalid]]:
    if policy.classifier == KEYWORD:
        return [], []
    try:
        installed = (_installed_bundle(repository / policy.classifier) for repository in repositories)
        bundle = next(filter(None, installed), None)
    except BundleInvalid as exc:
        return [PolicyInvalid(policy.file, "$.classifier", str(exc))], []
    if bundle is None:
        places = " or ".join(map(str, repositories))
        reason = f"labels were not checked: no version of {policy.classifier} in {places}"
        return [], [PolicyInvalid(policy.file, "$.classifier", reason)]
    warnings = [*_labels_of_tests(policy, bundle.labels)]
    if bundle.problem_type == "single_label_classification":
        warnings += [_invalid(policy, warning) for warning in softmax_warnings(policy)]
    return label_errors(policy, bundle.labels), warnings


def _installed_bundle(classifier: Path) -> Bundle | None:
    versions = [entry for entry in classifier.glob("*") if entry.is_dir() and entry.name.isdecimal()]
    return read_bundle(max(versions, key=lambda entry: int(entry.name))) if versions else None


def _labels_of_tests(policy: Policy, labels: list[str]) -> Iterator[PolicyInvalid]:
    for index, case in enumerate(load_cases(Path(policy.file))):
        for label in case.scores or ():
            if label not in labels:
                expected = f"expected a label of {policy.classifier} {sorted(labels)}, got {label!r}"
                yield PolicyInvalid(policy.file, f"$.tests[{index}].scores.{label}", expected)


def _invalid(policy: Policy, message: str) -> PolicyInvalid:
    return PolicyInvalid(policy.file, *_path_and_reason(message))


def _path_and_reason(message: str) -> tuple[str, str]:
    """Split `$.path: reason`, or msgspec's `reason - at $.path`."""
    if named := re.fullmatch(r"(?s)(\$\S*): (.*)", message):
        return named[1], named[2]
    reason, _, path = message.partition(" - at ")
    return path or "$", reason


def _finding(data: bytes, severity: Severity, problem: PolicyInvalid) -> Finding:
    line = line_of(data, problem.path, problem.reason)
    return Finding(file=problem.file, line=line, severity=severity, path=problem.path, reason=problem.reason)


def line_of(data: bytes, path: str, reason: str) -> int:
    """Return the line to show for an error at `path`, counted from 1; the nearest parent's where the path ends early.

    YAML that cannot be read has no paths: then the line that `reason`, PyYAML's own message, names last.
    """
    if reason.startswith(("is not valid YAML", "cannot be read", "is empty")):
        return int((re.findall(r"line (\d+)", reason) or [1])[-1])
    node = yaml.compose(data, Loader=yaml.SafeLoader)
    if node is None:
        return 1
    if unknown := re.search(r"unknown field (\S+)$", reason):
        path = f"{path}.{unknown[1]}"
    return _line(node, path.removeprefix("$")) + 1


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
