"""From a policy's YAML text to a checked `Policy`: syntax, unknown keys, types, bounds, each refused with its path."""

import hashlib
from pathlib import Path
from typing import Any

import msgspec

from .errors import FileInvalid, PolicyInvalid
from .forms import convert_form
from .names import ALIAS
from .policy import BinaryPolicy, Condition, Policy, Rule, RulesPolicy, Target, target_paths
from .policy_forms import BinaryForm, CaseForm, CasesForm, RuleForm, RulesForm, TargetForm
from .problem import Problem
from .yaml_document import parse_document, read_file


def load_policy(file: Path) -> Policy:
    """Read and check the policy in `file`; PolicyInvalid says what is wrong and where."""
    return parse_policy(read_policy_file(file), str(file))


def read_policy_file(file: Path) -> bytes:
    """Return the file's content; PolicyInvalid where there is none to read."""
    try:
        return read_file(file)
    except FileInvalid as exc:
        raise PolicyInvalid(*exc.problems) from exc


def parse_policy(data: bytes, file: str) -> Policy:
    """Check a policy given as YAML bytes; `file` is only named in errors."""
    try:
        form = _parse_form(parse_document(data, file), file)
    except FileInvalid as exc:
        raise PolicyInvalid(*exc.problems) from exc
    policy = _binary_policy(form, file) if isinstance(form, BinaryForm) else _rules_policy(form, file)
    if problems := _target_problems(policy, file):
        raise PolicyInvalid(*problems)
    return policy


def load_cases(file: Path) -> list[CaseForm]:
    """Return the `tests:` of a policy, or of a file that holds nothing else."""
    try:
        document = parse_document(read_file(file), str(file))
        if document.keys() == {"tests"}:
            return convert_form(document, CasesForm, str(file)).tests
        return _parse_form(document, str(file)).tests
    except FileInvalid as exc:
        raise PolicyInvalid(*exc.problems) from exc


def _parse_form(document: dict[str, Any], file: str) -> BinaryForm | RulesForm:
    if "rules" in document:
        return convert_form(document, RulesForm, file)
    if "reasoning_model" in document:
        return convert_form(document, BinaryForm, file)
    reason = "expected `reasoning_model` (binary form) or `rules` (multi-class form)"
    raise FileInvalid(Problem(file=file, path="$", reason=reason))


def _binary_policy(form: BinaryForm, file: str) -> BinaryPolicy:
    return BinaryPolicy(
        reasoning=_target(form.reasoning_model),
        general=_target(form.general_model),
        abstain=_target(form.abstain_onprem_model),
        threshold_min_conf=form.threshold_min_conf,
        reasoning_cutoff=form.reasoning_cutoff,
        classifier=form.classifier,
        revision=_revision(form),
        file=file,
    )


def _rules_policy(form: RulesForm, file: str) -> RulesPolicy:
    return RulesPolicy(
        rules=tuple(_rule(rule) for rule in form.rules),
        abstain=_target(form.abstain_onprem_model),
        threshold_min_conf=form.threshold_min_conf,
        weights=form.weights,
        classifier=form.classifier,
        revision=_revision(form),
        file=file,
    )


def _rule(form: RuleForm) -> Rule:
    conditions = tuple(Condition(label=c.label, min_conf=c.min_conf) for c in form.when_any)
    return Rule(when_any=conditions, target=_target(form.route_onprem_model), rationale=form.rationale)


def _target(form: str | TargetForm) -> Target:
    if isinstance(form, str):
        return Target(name=form, model=form, params={})
    return Target(name=form.name or form.model, model=form.model, params=form.params)


def _revision(form: BinaryForm | RulesForm) -> str:
    """Hash the canonical form, defaults filled in: comments, key order, layout and tests do not change a revision."""
    meaning = msgspec.structs.replace(form, tests=msgspec.UNSET)  # an unset field is left out
    return hashlib.sha256(msgspec.json.encode(meaning, order="deterministic")).hexdigest()[:12]


def _target_problems(policy: Policy, file: str) -> list[Problem]:
    """Find names with two meanings, as decisions and metrics carry only names, and the alias as a target."""
    problems = []
    known: dict[str, Target] = {}
    for path, target in target_paths(policy):
        if ALIAS in (target.name, target.model):
            reason = f"expected a model, got {ALIAS!r}, the alias that asks for routing"
            problems.append(Problem(file=file, path=path, reason=reason))
        elif known.setdefault(target.name, target) != target:
            reason = f"expected one meaning per target name, got {target.name!r} with two"
            problems.append(Problem(file=file, path=path, reason=reason))
    return problems
