"""A tritonserver as a child process, ready once it has answered a real inference."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from export.repository.shared_memory import region_flags, region_prefix, remove_left_regions
from export.repository.triton_flags import TOKEN_FILE, hide_argument, write_token
from export.repository.triton_health import TritonPlace

from .processes import ManagedProcess, check_port_free
from .triton import TritonPorts, assemble_backends, find_installation, server_command, server_environment

START_SECONDS = 90
_LOAD_FAILURE = re.compile(
    r"failed to load '(?P<model>[^']+)' version \d+: "
    r"(?:\w+: )?(?:TritonModelException: )?(?P<reason>.+?)"
    r'(?:\\n|"$)',
    re.MULTILINE,
)


class TritonServer(ManagedProcess):
    """Serves `repository`; ready means that `semantic_router` answered a real inference."""

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
        self.repository = repository
        self.ports = ports
        self.place = TritonPlace(url=f"http://127.0.0.1:{ports.http}", metrics_url=f"http://127.0.0.1:{ports.metrics}")
        self.admin_token = write_token(run_directory / TOKEN_FILE)
        self._installation = find_installation()
        self._backends = assemble_backends(self._installation, run_directory / "backends")
        self._regions = region_prefix(str(run_directory))
        self._extra = extra
        self._log_begins = 0  # where the log of this start does
        super().__init__(
            "tritonserver",
            self._server_command(),
            server_environment(self._installation, dict(variables)),
            run_directory / "logs" / "tritonserver.log",
        )

    def _server_command(self) -> list[str]:
        """Return the command for the repository as it is now: models may have been installed since the last start."""
        return server_command(
            self._installation,
            self.repository,
            self._backends,
            ports=self.ports,
            admin_token=self.admin_token,
            extra=[*region_flags(self._regions), *self._extra],
        )

    def start(self) -> None:
        for name, port in (("HTTP", self.ports.http), ("gRPC", self.ports.grpc), ("metrics", self.ports.metrics)):
            check_port_free(f"tritonserver {name}", port)
        remove_left_regions(self._regions)
        self._command = self._server_command()
        self._log_begins = self.log.stat().st_size if self.log.exists() else 0
        super().start()
        hide_argument(self.pid, self.admin_token)

    def wait_ready(self) -> None:
        self.wait_until(self.answers, START_SECONDS)

    def last_words(self) -> str:
        """Return why models failed to load, without Triton's tables and Python's traceback."""
        reasons = [f"{match['model']}: {match['reason']}" for match in _LOAD_FAILURE.finditer(self.read_log())]
        return "\n".join(reasons) or super().last_words()

    def read_log(self) -> str:
        """Return what it has said since it was last started."""
        return self.log.read_bytes()[self._log_begins :].decode("utf-8", "replace")

    def answers(self) -> bool:
        return self.place.answers()
