"""ExportError
CheckpointUnavailable   the checkpoint cannot be read: no such folder, no hub access, a file missing
CheckpointUnsupported   the checkpoint is there, but is no text classifier this project can serve
TrainingDataInvalid     a line of a data file cannot be used
JudgeUnusable           a server that shall label prompts does not answer as one
ParityFailed            the exported graph and the PyTorch model disagree
GateFailed              a precision variant changes the classifier more than allowed
GraphUnusable           ONNX Runtime cannot open or run a graph
TokenizerUnusable       a tokenizer.json cannot be read
BundleRejected          a bundle must not be installed
VersionNotFound         there is no installed version to act on
GoalUnreachable         no cutoff of a policy achieves what was asked for
TritonRefused           Triton did not load what was installed
"""

from pathlib import Path


class ExportError(Exception):
    """Base of everything this package raises on purpose; the command line shows it as one line."""


class CheckpointUnavailable(ExportError):
    """A checkpoint that cannot be read, and what to do about it."""

    def __init__(self, checkpoint: str, reason: str) -> None:
        super().__init__(f"{checkpoint}: {reason}")
        self.checkpoint = checkpoint
        self.reason = reason


class CheckpointUnsupported(ExportError):
    """A checkpoint that was read and cannot become a classifier bundle."""

    def __init__(self, checkpoint: str, reason: str) -> None:
        super().__init__(f"{checkpoint}: {reason}")
        self.checkpoint = checkpoint
        self.reason = reason


class TrainingDataInvalid(ExportError):
    """A data file that cannot be used: which line, counted from 1, and what was expected there."""

    def __init__(self, file: Path, line: int | None, reason: str) -> None:
        place = f"{file}" if line is None else f"{file}:{line}"
        super().__init__(f"{place}: {reason}")
        self.file = file
        self.line = line
        self.reason = reason


class JudgeUnusable(ExportError):
    """A judge at `url` that cannot be asked; its own words are left out, as they may repeat a prompt."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"judge {url}: {reason}")
        self.url = url
        self.reason = reason


class ParityFailed(ExportError):
    """The exported graph answers differently from PyTorch for `text`; differences are in logits."""

    def __init__(self, difference: float, tolerance: float, text: str) -> None:
        super().__init__(
            f"the exported graph differs from PyTorch by {difference:.3g} in a logit,"
            f" tolerance {tolerance:.3g}, for {text[:80]!r}"
        )
        self.difference = difference
        self.tolerance = tolerance
        self.text = text


class GateFailed(ExportError):
    """A precision variant outside its bound: `metric` was `value` and had to stay within `bound`."""

    def __init__(self, precision: str, metric: str, value: float, bound: float) -> None:
        super().__init__(f"the {precision} variant is refused: {metric} is {value:.4g}, the bound is {bound:.4g}")
        self.precision = precision
        self.metric = metric
        self.value = value
        self.bound = bound


class GraphUnusable(ExportError):
    """A graph that ONNX Runtime, which is what serves it, does not open or run."""

    def __init__(self, graph: str, reason: str) -> None:
        super().__init__(f"{graph}: {reason}")
        self.graph = graph
        self.reason = reason


class TokenizerUnusable(ExportError):
    """A file that is not a tokenizer."""

    def __init__(self, file: str, reason: str) -> None:
        super().__init__(f"{file}: is not a tokenizer: {reason}")
        self.file = file
        self.reason = reason


class BundleRejected(ExportError):
    """A bundle that must not be installed; whatever was installed before stays as it was."""

    def __init__(self, bundle: str, reason: str) -> None:
        super().__init__(f"{bundle}: {reason}; nothing was installed")
        self.bundle = bundle
        self.reason = reason


class VersionNotFound(ExportError):
    """There is no installed version of `classifier` to act on."""

    def __init__(self, classifier: str, reason: str) -> None:
        super().__init__(f"{classifier}: {reason}")
        self.classifier = classifier
        self.reason = reason


class GoalUnreachable(ExportError):
    """No cutoff meets the goal on the prompts it was tried on."""

    def __init__(self, goal: str, bound: float, prompts: int) -> None:
        super().__init__(f"no cutoff between 0.01 and 0.99 reaches {goal} {bound:g} on these {prompts} prompts")
        self.goal = goal
        self.bound = bound
        self.prompts = prompts


class TritonRefused(ExportError):
    """Triton did not load a classifier; what it served before, it still serves."""

    def __init__(self, classifier: str, url: str, reason: str) -> None:
        super().__init__(f"{classifier}: Triton at {url} did not load it: {reason}")
        self.classifier = classifier
        self.url = url
        self.reason = reason
