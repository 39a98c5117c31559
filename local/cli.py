"""semrouter: one command line for every folder; each folder owns its commands."""

import click

from export.commands import COMMANDS as EXPORT_COMMANDS
from local.logs.drift_commands import COMMANDS as DRIFT_COMMANDS
from local.logs.report_command import COMMANDS as REPORT_COMMANDS
from local.policy.canaries import COMMANDS as CANARY_COMMANDS
from local.policy.commands import COMMANDS as POLICY_COMMANDS
from local.stack.commands import COMMANDS as LOCAL_COMMANDS
from router_proxy.commands import COMMANDS as PROXY_COMMANDS


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="triton-semantic-router")
def main() -> None:
    """Route each request to the model that your policy chooses for it."""


for command in (
    *LOCAL_COMMANDS,
    *POLICY_COMMANDS,
    *REPORT_COMMANDS,
    *CANARY_COMMANDS,
    *DRIFT_COMMANDS,
    *PROXY_COMMANDS,
    *EXPORT_COMMANDS,
):
    main.add_command(command)

if __name__ == "__main__":
    main()
