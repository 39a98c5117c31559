"""A tritonserver under supervision: probed by a real inference, restarted when that fails for too long."""

import json
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from export.repository.serving_copy import ROUTER
from export.repository.triton_flags import TOKEN_FILE, hide_argument, write_token

from .processes import ManagedProcess, check_port_free, http_status
from .triton import TritonPorts, assemble_backends, find_installation, server_command, server_environment

START_SECONDS = 90
RESTART_AFTER_SECONDS = 10
_LOAD_FAILURE = re.compile(
    r"failed to load '(?P<model>[^']+)' version \d+: "
    r"(?:\w+: )?(?:TritonModelException: )?(?P<reason>.+?)"
    r'(?:\\n|"$)',
    re.MULTILINE,
)
_PROBE = json.dumps(
    {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [1, 1], "data": ["Is the router answering?"]}]}
).encode()


class TritonServer(ManagedProcess):
    """Serves `repository`; ready and alive both mean that `semantic_router` answered a real inference."""

    def __init__(
        self,
        repository: Path,
        run_directory: Path,
        ports: TritonPorts,
        variables: Mapping[str, str],
        *,
        extra: Sequence[str] = (),
    ) -> None:
        """Lay out the backends in `run_directory`; TritonUnavailable says what this machine lacks.

        `extra` are arguments of tritonserver that win over ours.
        """
        installation = find_installation()
        self.admin_token = write_token(run_directory / TOKEN_FILE)
        backends = assemble_backends(installation, run_directory / "backends")
        super().__init__(
            "tritonserver",
            server_command(installation, repository, backends, ports=ports, admin_token=self.admin_token, extra=extra),
            server_environment(installation, dict(variables)),
            run_directory / "logs" / "tritonserver.log",
        )
        self.ports = ports
        self._last_answer = 0.0

    def start(self) -> None:
        for name, port in (("HTTP", self.ports.http), ("gRPC", self.ports.grpc), ("metrics", self.ports.metrics)):
            check_port_free(f"tritonserver {name}", port)
        super().start()
        hide_argument(self.pid, self.admin_token)
        self._last_answer = time.monotonic()

    def wait_ready(self) -> None:
        self.wait_until(self.answers, START_SECONDS)

    def last_words(self) -> str:
        """Return why models failed to load, without Triton's tables and Python's traceback."""
        reasons = [f"{match['model']}: {match['reason']}" for match in _LOAD_FAILURE.finditer(self.read_log())]
        return "\n".join(reasons) or super().last_words()

    def answers(self) -> bool:
        return http_status(self.ports.http, "POST", f"/v2/models/{ROUTER}/infer", _PROBE) == 200  # noqa: PLR2004 - OK

    def supervise(self) -> bool:
        """Probe once; restart after 10 s without an answer, as a dead Python stub never comes back by itself.

        Triton 24.10 keeps reporting ready with a dead stub, so only an inference tells. True when restarted.
        """
        now = time.monotonic()
        if self.answers():
            self._last_answer = now
        elif not self.is_running or now - self._last_answer > RESTART_AFTER_SECONDS:
            self.stop(grace_seconds=3)  # whatever was in flight is lost already
            self.start()
            self.wait_ready()
            return True
        return False
