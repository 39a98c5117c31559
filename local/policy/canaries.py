"""`semrouter canaries`: what a bundle's own check texts must be judged as, in the form of canaries.yaml."""

from pathlib import Path

import click
import msgspec
import yaml

from local.errors import NoCanaries
from router_proxy.configuration.canaries_file import CanariesForm, CanaryForm
from routing_policy.bundle import Bundle, read_bundle
from routing_policy.errors import BundleInvalid
from routing_policy.versions import served_versions

# Close calls are left out: they may fall either way on another machine, or under another policy.
_CLEAR_SCORE = 0.8


@click.command()
@click.argument("directory", type=click.Path(file_okay=False, exists=True, path_type=Path))
def canaries(directory: Path) -> None:
    """Print canaries for the installed bundle in DIRECTORY, such as .run/model_repository/my_classifier/2.

    Of a classifier's own folder, such as .run/model_repository/my_classifier, the newest version is taken.
    """
    version = _newest(directory.resolve())
    if version not in served_versions(version.parent).values():
        reason = "expected NAME/VERSION, or NAME, in a model repository; a bundle has canaries once it is installed"
        raise NoCanaries(f"{directory}: {reason}")
    try:
        bundle = read_bundle(version)
    except BundleInvalid as exc:
        raise NoCanaries(str(exc)) from exc
    known = clear_canaries(bundle)
    if not known:
        raise NoCanaries(f"{directory}: none of its texts has a score of {_CLEAR_SCORE} or more")
    form = CanariesForm(canaries={f"{version.parent.name}/{version.name}": known})
    click.echo(yaml.safe_dump(msgspec.to_builtins(form), sort_keys=False, allow_unicode=True, width=1000), nl=False)


def _newest(directory: Path) -> Path:
    """Return the newest version in a classifier's folder, and any other folder as it is."""
    versions = served_versions(directory)
    return versions[max(versions)] if versions else directory


def clear_canaries(bundle: Bundle) -> list[CanaryForm]:
    """Return the bundle's texts whose best label is beyond doubt."""
    best = (
        (canary.text, max(canary.scores, key=canary.scores.__getitem__), canary.scores) for canary in bundle.canaries
    )
    return [CanaryForm(text=text, winner=label) for text, label, scores in best if scores[label] >= _CLEAR_SCORE]


COMMANDS = [canaries]
