"""One instance of the router: the policy in force, the classifier it names, and decisions for a batch of texts."""

import re
import time
from collections.abc import Callable
from pathlib import Path

from routing_policy.decision import DecisionDocument, decide
from routing_policy.errors import PolicyInvalid
from routing_policy.keywords import KEYWORD
from routing_policy.policy import NON_REASONING, REASONING, BinaryPolicy, Policy, policy_labels
from routing_policy.policy_checks import check_labels, policy_warnings
from routing_policy.problem import Problem

from .bundle_versions import BundleVersions, NoReadyVersionError
from .environment import Environment
from .keyword_classifier import KeywordClassifier
from .policy_watch import PolicyWatch
from .reading import Classifier, ClassifierCallFailed, Reading
from .triton_classifier import CallModel, TritonClassifier


class Router:
    """Decides for texts; `refresh` takes over new policies and new classifier versions."""

    def __init__(
        self,
        environment: Environment,
        repository: Path,
        call_model: CallModel,
        is_ready: Callable[[str, int], bool],
    ) -> None:
        """Load policy and classifier; PolicyInvalid or NoReadyVersionError says why they cannot serve."""
        self._environment = environment
        self._repository = repository
        self._call_model = call_model
        self._is_ready = is_ready
        self._triton_classifiers: dict[str, TritonClassifier] = {}
        self.watch = PolicyWatch(environment.policy_file, self._accept, environment.last_policy_file)
        self.classifier = self._classifier_for(self.watch.policy)

    def refresh(self) -> None:
        """Look at the policy file and the classifier's versions again."""
        before = self.watch.policy
        self.watch.refresh()
        if self.watch.policy is not before:
            self.classifier = self._classifier_for(self.watch.policy)
        self.classifier.refresh()

    @property
    def state(self) -> dict[str, str]:
        """Say what is in force and what was refused, by topic, in lines for a log."""
        policy = self.watch.policy
        refused = {"refused policy": f"{policy.revision} stays: {self.watch.error}"} if self.watch.error else {}
        warnings = {
            f"policy warning {index}": f"{warning.path}: {warning.reason}"
            for index, warning in enumerate(policy_warnings(policy), start=1)
        }
        return {"policy": f"{policy.revision} from {policy.file}", **warnings, **refused, **self.classifier.state}

    def route(self, texts: list[str]) -> list[DecisionDocument | ClassifierCallFailed]:
        """Give each text its decision, or the failure of the classifier call that held it."""
        readings = self.classifier.classify(texts)
        return [self._document(reading) if isinstance(reading, Reading) else reading for reading in readings]

    def _document(self, reading: Reading) -> DecisionDocument:
        policy = self.watch.policy
        started = time.perf_counter_ns()
        decision = decide(policy, reading.scores)
        decide_us = (time.perf_counter_ns() - started) // 1000
        return DecisionDocument(
            target=decision.target.name,
            model=decision.target.model,
            params=decision.target.params,
            rationale=decision.rationale,
            winner=decision.winner,
            confidence=decision.confidence,
            scores=reading.scores,
            rule=decision.rule,
            policy=policy.revision,
            classifier=reading.classifier,
            tokens_seen=reading.tokens_seen,
            tokens_total=reading.tokens_total,
            truncated=reading.truncated,
            policy_error=self.watch.error,
            timings_us={"tokenize": reading.tokenize_us, "classify": reading.classify_us, "decide": decide_us},
        )

    def _accept(self, policy: Policy) -> None:
        try:
            check_labels(policy, self._classifier_for(policy).labels)
        except NoReadyVersionError as exc:
            raise PolicyInvalid(Problem(file=policy.file, path="$.classifier", reason=str(exc))) from exc

    def _classifier_for(self, policy: Policy) -> Classifier:
        name = self._environment.classifier or policy.classifier
        if name == KEYWORD:
            return KeywordClassifier(_keyword_labels(policy))
        if name not in self._triton_classifiers:
            self._triton_classifiers[name] = self._triton_classifier(name)
        return self._triton_classifiers[name]

    def _triton_classifier(self, name: str) -> TritonClassifier:
        directory = self._repository / name
        versions = BundleVersions(
            directory, self._environment.max_length, lambda version: self._is_ready(name, version)
        )
        return TritonClassifier(name, versions, self._call_model, _max_batch_size(directory / "config.pbtxt"))


def _keyword_labels(policy: Policy) -> list[str]:
    if isinstance(policy, BinaryPolicy):
        return [NON_REASONING, REASONING]
    return sorted({REASONING, "general", *policy_labels(policy)})


def _max_batch_size(config: Path) -> int:
    """Read the largest batch the classifier takes; 0 in Triton's format means it does not batch."""
    match = re.search(r"^\s*max_batch_size:\s*(\d+)", config.read_text(encoding="utf-8"), re.MULTILINE)
    return max(1, int(match.group(1))) if match else 1
