"""The guide's MockClassifier: a keyword match that stands in for a trained classifier in development and CI."""

import re

KEYWORD = "keyword"  # the name of this classifier where one is chosen
KEYWORDS = ("prove", "calculate", "logic", "deduce")
_KEYWORD = re.compile("|".join(KEYWORDS), re.IGNORECASE)
_SURE = 0.9


def keyword_scores(text: str, labels: list[str]) -> dict[str, float]:
    """Give 0.9 to `reasoning` when a keyword occurs in `text`, else to the everyday label; the others share 0.1."""
    everyday = "non-reasoning" if "non-reasoning" in labels else "general"
    winner = "reasoning" if _KEYWORD.search(text) else everyday
    rest = (1 - _SURE) / (len(labels) - 1)
    return {label: _SURE if label == winner else rest for label in labels}
