"""From a policy's YAML text to a checked `Policy`: syntax, unknown keys, types, bounds, each refused with its path."""

import hashlib
import re
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

from .errors import PolicyInvalid
from .policy import BinaryPolicy, Condition, Policy, Rule, RulesPolicy, Target, target_paths
from .policy_forms import BinaryForm, CaseForm, CasesForm, RuleForm, RulesForm, TargetForm

ALIAS = "router"


def load_policy(file: Path) -> Policy:
    """Read and check the policy in `file`; PolicyInvalid says what is wrong and where."""
    return parse_policy(read_policy_file(file), str(file))


def read_policy_file(file: Path) -> bytes:
    """Return the file's content; PolicyInvalid where there is none to read."""
    try:
        return file.read_bytes()
    except OSError as exc:
        raise PolicyInvalid(str(file), "$", f"cannot be read: {exc.strerror or exc}") from exc


def parse_policy(data: bytes, file: str) -> Policy:
    """Check a policy given as YAML bytes; `file` is only named in errors."""
    form = _parse_form(parse_yaml(data, file), file)
    policy = _binary_policy(form, file) if isinstance(form, BinaryForm) else _rules_policy(form, file)
    _check_targets(policy, file)
    return policy


def load_cases(file: Path) -> list[CaseForm]:
    """Return the `tests:` of a policy, or of a file that holds nothing else."""
    document = parse_yaml(read_policy_file(file), str(file))
    if document.keys() == {"tests"}:
        return _convert(document, CasesForm, str(file)).tests
    return _parse_form(document, str(file)).tests


def _parse_form(document: dict[str, Any], file: str) -> BinaryForm | RulesForm:
    if "rules" in document:
        return _convert(document, RulesForm, file)
    if "reasoning_model" in document:
        return _convert(document, BinaryForm, file)
    raise PolicyInvalid(file, "$", "expected `reasoning_model` (binary form) or `rules` (multi-class form)")


class _StrictLoader(yaml.SafeLoader):
    """YAML 1.2 §3.2.1.3 wants mapping keys unique; PyYAML would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - PyYAML's signature
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"duplicate key {key!r}", node.start_mark)
        return super().construct_mapping(node, deep)


def parse_yaml(data: bytes, file: str) -> dict[str, Any]:
    try:
        document = yaml.load(data, Loader=_StrictLoader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, UnicodeDecodeError) as exc:
        raise PolicyInvalid(file, "$", f"is not valid YAML: {' '.join(str(exc).split())}") from exc
    except (TypeError, ValueError, RecursionError) as exc:  # an unhashable key, an impossible date, absurd nesting
        raise PolicyInvalid(file, "$", f"is not valid YAML: {exc}") from exc
    if document is None:
        raise PolicyInvalid(file, "$", "is empty; expected a mapping")
    if not isinstance(document, dict):
        raise PolicyInvalid(file, "$", f"expected a mapping, got {type(document).__name__}")
    return document


Form = TypeVar("Form", BinaryForm, RulesForm, CasesForm)


def _convert(document: dict[str, Any], form: type[Form], file: str) -> Form:
    try:
        return msgspec.convert(document, type=form)
    except msgspec.ValidationError as exc:
        path, reason = _path_and_reason(str(exc), document)
        raise PolicyInvalid(file, path, reason) from exc


def _path_and_reason(message: str, document: dict[str, Any]) -> tuple[str, str]:
    """Rewrite msgspec's `Expected X - at `$.a[0]`` as a path and a reason that also says what was there."""
    match = re.fullmatch(r"(?s)(.*?)(?: - at `(.*)`)?", message)
    reason, path = (match.group(1), match.group(2) or "$") if match else (message, "$")
    reason = reason[:1].lower() + reason[1:].replace("`", "")
    if not reason.startswith("expected") or ", got" in reason:
        return path, reason
    return path, f"{reason}, got {_value_at(document, path)!r}"


def _value_at(document: Any, path: str) -> Any:
    value = document
    for key, index in re.findall(r"\.([^.\[\]]+)|\[(\d+)\]", path):
        if index and isinstance(value, list):
            value = value[int(index)]
        elif isinstance(value, dict):
            value = value.get(key)
    return value


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


def _check_targets(policy: Policy, file: str) -> None:
    """Refuse a name with two meanings, as decisions and metrics carry only names, and the alias as a target."""
    known: dict[str, Target] = {}
    for path, target in target_paths(policy):
        if ALIAS in (target.name, target.model):
            raise PolicyInvalid(file, path, f"expected a model, got {ALIAS!r}, the alias that asks for routing")
        if known.setdefault(target.name, target) != target:
            raise PolicyInvalid(file, path, f"expected one meaning per target name, got {target.name!r} with two")
