"""The commands of this folder. Each imports the libraries behind it when it runs, so that `--help` needs none."""

import click

from export.bundle.command import export
from export.bundle.install_commands import bundle
from export.calibration.command import calibrate
from export.encoders.command import shrink_command
from export.labelling.command import label_command
from export.labelling.rescore import rescore_command
from export.outcomes.eval_command import eval_command
from export.training.command import train_command

COMMANDS: list[click.Command] = [
    export,
    bundle,
    shrink_command,
    label_command,
    train_command,
    eval_command,
    calibrate,
    rescore_command,
]
