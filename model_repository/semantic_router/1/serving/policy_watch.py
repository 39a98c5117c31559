"""The policy in force: the file is compared by content, and an invalid new version never replaces a valid one."""

from collections.abc import Callable
from pathlib import Path

from routing_policy.errors import PolicyInvalid
from routing_policy.policy import Policy
from routing_policy.policy_file import parse_policy, read_policy_file


class PolicyWatch:
    """Holds the last valid policy; `error` says why a newer file was refused, or is None."""

    def __init__(self, file: Path, accept: Callable[[Policy], None]) -> None:
        """Load `file`; `accept` raises PolicyInvalid for a policy this server cannot serve."""
        self._file = file
        self._accept = accept
        self._served = read_policy_file(file)
        self._refused: bytes | None = None
        self.policy = self._parse(self._served)
        self.error: str | None = None

    def refresh(self) -> None:
        """Take over the file if its content changed and is valid; else say in `error` why it was refused."""
        try:
            content = read_policy_file(self._file)
        except PolicyInvalid as exc:
            self.error = str(exc)
            return
        if content == self._served:
            self.error = None
        elif content != self._refused:
            self._examine(content)

    def _examine(self, content: bytes) -> None:
        try:
            self.policy = self._parse(content)
        except PolicyInvalid as exc:
            self._refused = content
            self.error = str(exc)
        else:
            self._served = content
            self.error = None

    def _parse(self, content: bytes) -> Policy:
        policy = parse_policy(content, str(self._file))
        self._accept(policy)
        return policy
