"""Leave-sources-out folds of the prompts the bundled classifiers are trained on.

A classifier that has seen a source flatters itself there; judge a recipe by what it does on a fold it has not seen.
Each fold holds mathematics, code, other reasoning and small talk, and at least one language besides English. Prompts
written for this project are in none: they are made to teach.
"""

FOLDS: dict[str, tuple[str, ...]] = {
    "1": (
        "agieval-gaokao-physics",
        "agieval-lsat-lr",
        "agieval-sat-math",
        "aqua-rat",
        "belle-eval",
        "clinc150",
        "exercism-problem-specifications",
        "llamafactory-pref-demo",
        "mgsm",
        "natural-questions",
        "oasst1",
        "prontoqa",
        "self-instruct-seeds",
    ),
    "2": (
        "agieval-gaokao-chemistry",
        "agieval-gaokao-mathcloze",
        "boolq",
        "folio",
        "glaive-toolcall-demo",
        "gpteacher-codegen",
        "gpteacher-toolformer",
        "llamafactory-identity",
        "mathqa-test",
        "mmlu",
        "nl2bash",
        "xquad",
    ),
    "3": (
        "agieval-gaokao-biology",
        "agieval-gaokao-mathqa",
        "ar-lsat",
        "chatterbot-corpus",
        "gpteacher-roleplay",
        "gsm8k-train",
        "hendrycks-math-test",
        "mawps",
        "mbpp",
        "opentriviaqa",
        "proofwriter",
        "query-wellformedness",
        "t0-tasks",
    ),
}
