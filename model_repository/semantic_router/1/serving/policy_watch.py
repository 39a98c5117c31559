"""The policy in force: the file is compared by content, and an invalid new version never replaces a valid one."""

from collections.abc import Callable
from pathlib import Path

from routing_policy.errors import PolicyInvalid
from routing_policy.policy import Policy
from routing_policy.policy_file import parse_policy


class PolicyWatch:
    """Holds the last valid policy; `error` says why a newer file was refused, or is None."""

    def __init__(self, file: Path, accept: Callable[[Policy], None]) -> None:
        """Load `file`; `accept` raises PolicyInvalid for a policy this server cannot serve."""
        self._file = file
        self._accept = accept
        self._content = self._read()
        self.policy = self._parse(self._content)
        self.error: str | None = None

    def refresh(self) -> bool:
        """Take over the file if its content changed and is valid; tell whether policy or error changed."""
        before = (self.policy.revision, self.error)
        try:
            content = self._read()
            if content != self._content:
                self._content = content
                self.policy = self._parse(content)
                self.error = None
        except PolicyInvalid as exc:
            self.error = str(exc)
        return before != (self.policy.revision, self.error)

    def _read(self) -> bytes:
        try:
            return self._file.read_bytes()
        except OSError as exc:
            raise PolicyInvalid(str(self._file), "$", f"cannot be read: {exc.strerror or exc}") from exc

    def _parse(self, content: bytes) -> Policy:
        policy = parse_policy(content, str(self._file))
        self._accept(policy)
        return policy
