"""The policy in force: the file is compared by content, and an invalid new version never replaces a valid one."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

from routing_policy.errors import PolicyInvalid
from routing_policy.policy import Policy
from routing_policy.policy_file import parse_policy, read_policy_file


class PolicyWatch:
    """Holds the last valid policy; `error` says why a newer file was refused, or is None."""

    def __init__(self, file: Path, accept: Callable[[Policy], None], last_good: Path | None = None) -> None:
        """Load `file`; `accept` raises PolicyInvalid for a policy this server cannot serve.

        A restart beside an invalid file serves what was in force before, which `last_good` keeps.
        """
        self._file = file
        self._accept = accept
        self._last_good = last_good
        self._refused: bytes | None = None
        self.error: str | None = None
        try:
            self._served = read_policy_file(file)
            self.policy = self._parse(self._served)
        except PolicyInvalid as refusal:
            self._served, self.policy = self._before(refusal)
            self.error = str(refusal)
        self._keep()

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
            self._refused, self.error = content, str(exc)
        except Exception as exc:  # noqa: BLE001 - whatever a file holds, requests go on being decided
            self._refused, self.error = content, f"{self._file}: $: cannot be used: {type(exc).__name__}"
        else:
            self._served = content
            self.error = None
            self._keep()

    def _before(self, refusal: PolicyInvalid) -> tuple[bytes, Policy]:
        """Return the policy that was in force before this start, or raise `refusal` where there is none to serve."""
        if self._last_good is None or not self._last_good.is_file():
            raise refusal
        try:
            content = read_policy_file(self._last_good)
            return content, self._parse(content)
        except PolicyInvalid:
            raise refusal from None

    def _keep(self) -> None:
        """Leave the policy in force for the next start; where that cannot be written, it starts without."""
        if self._last_good is None:
            return
        begun = self._last_good.with_suffix(f".{os.getpid()}.tmp")  # each instance writes its own
        with contextlib.suppress(OSError):
            begun.write_bytes(self._served)
            begun.replace(self._last_good)

    def _parse(self, content: bytes) -> Policy:
        policy = parse_policy(content, str(self._file))
        self._accept(policy)
        return policy
