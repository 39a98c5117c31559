"""canaries.yaml as values: prompts and the label that must decide each, for every classifier that has some."""

from pathlib import Path
from typing import Annotated

import msgspec

from routing_policy.decision import ClassifierRef
from routing_policy.policy_forms import END_OF_TEXT

from .yaml_files import load_form

Text = Annotated[str, msgspec.Meta(min_length=1)]
# A classifier as x-semrouter-classifier names it: name, name/version or name/version/revision.
ClassifierName = Annotated[str, msgspec.Meta(pattern="^[^/]+(/[0-9]+(/[^/]+)?)?" + END_OF_TEXT)]


class CanaryForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A prompt and the `winner` that its decision must have."""

    text: Text
    winner: Text


class CanariesForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Prompts with known answers by classifier."""

    canaries: dict[ClassifierName, list[CanaryForm]]

    @property
    def texts(self) -> list[str]:
        """Each prompt once."""
        return list(dict.fromkeys(canary.text for group in self.canaries.values() for canary in group))


def load_canaries(file: Path) -> CanariesForm:
    """Read and check canaries.yaml; ConfigurationInvalid says what is wrong and where."""
    return load_form(file, CanariesForm)


def known_answers(form: CanariesForm, classifier: ClassifierRef) -> dict[str, CanaryForm]:
    """Return the canaries meant for `classifier` by their place in the file."""
    full_name = (classifier.name, str(classifier.version), classifier.revision)
    return {
        f"$.canaries.{name}[{index}]": canary
        for name, group in form.canaries.items()
        if full_name[: name.count("/") + 1] == tuple(name.split("/"))
        for index, canary in enumerate(group)
    }
