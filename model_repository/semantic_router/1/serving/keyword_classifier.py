"""The guide's MockClassifier: scores from four keywords, without a model."""

import time

from routing_policy.decision import ClassifierRef
from routing_policy.keywords import KEYWORD, keyword_scores
from routing_policy.policy import NON_REASONING, REASONING

from .reading import ClassifierCallFailed, Reading, microseconds_since


class KeywordClassifier:
    """The guide's MockClassifier, with the labels of the policy form."""

    def __init__(self, labels: list[str]) -> None:
        self.labels = labels
        binary = str(set(labels) == {NON_REASONING, REASONING}).lower()
        self.start_log = [
            f"Initialized MockClassifier (binary_mode={binary})",
            "Semantic router initialized with MockClassifier",
        ]
        self._ref = ClassifierRef(name=KEYWORD, version=1, revision=KEYWORD)
        self.state = {"classifier": KEYWORD}

    def refresh(self) -> None:
        """Nothing to look for: keywords are part of the code."""

    def classify(self, texts: list[str]) -> list[Reading | ClassifierCallFailed]:
        return [self._read(text) for text in texts]

    def _read(self, text: str) -> Reading:
        started = time.perf_counter_ns()
        scores = keyword_scores(text, self.labels)
        return Reading(
            scores=scores,
            classifier=self._ref,
            tokens_seen=None,
            tokens_total=None,
            truncated=False,
            tokenize_us=0,
            classify_us=microseconds_since(started),
        )
