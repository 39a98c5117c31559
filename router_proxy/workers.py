"""Several processes on one socket: the parent owns it, restarts workers that die, and passes signals on."""

import asyncio
import contextlib
import logging
import signal
import socket
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping

from prometheus_client import multiprocess

from router_proxy.configuration.settings import Settings
from router_proxy.record.metrics import DIRECTORY_VARIABLE
from router_proxy.record.metrics_folder import new_metrics_folder

LOG = logging.getLogger("semrouter.workers")
_PAUSE_SECONDS = 1.0
_YOUNG_SECONDS = 5.0  # one that ends so soon twice in a row may be unable to work
_PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def run_workers(settings: Settings, environ: Mapping[str, str], listening: socket.socket) -> None:
    """Keep `settings.workers` processes serving on `listening` until SIGTERM or SIGINT."""
    with new_metrics_folder() as directory, asyncio.Runner() as runner:
        runner.run(_Workers(settings.workers, {**environ, DIRECTORY_VARIABLE: directory}, listening).run())


class _Workers:
    def __init__(self, count: int, environ: Mapping[str, str], listening: socket.socket) -> None:
        self._count = count
        self._environ = environ
        self._listening = listening
        self._stopped = asyncio.Event()
        self._running: set[Process] = set()

    async def run(self) -> None:
        for number in _PASSED_ON:
            asyncio.get_running_loop().add_signal_handler(number, self._pass_on, number)
        async with asyncio.TaskGroup() as places:
            for _ in range(self._count):
                places.create_task(self._keep_one())

    async def _keep_one(self) -> None:
        """Keep one worker running; whatever goes wrong with it, the others serve and this one is tried again."""
        young_deaths = 0
        while not self._stopped.is_set():
            began = time.monotonic()
            try:
                await self._run_one()
            except Exception:  # no process or no memory to be had, above all; the edge of the parent
                LOG.exception("a worker cannot be started, next try in %g s", _PAUSE_SECONDS)
            young_deaths = young_deaths + 1 if time.monotonic() - began < _YOUNG_SECONDS else 0
            if young_deaths > 1:
                await self._pause()

    async def _run_one(self) -> None:
        worker = await self._start()
        code = await worker.wait()
        self._running.discard(worker)
        multiprocess.mark_process_dead(worker.pid, self._environ[DIRECTORY_VARIABLE])  # type: ignore[no-untyped-call]
        if not self._stopped.is_set():
            LOG.warning("worker %s ended with %s and is replaced", worker.pid, code)

    async def _start(self) -> Process:
        descriptor = self._listening.fileno()
        # Blocked while starting, a SIGHUP waits in the new process until that can act on it.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
        try:
            worker = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "router_proxy.server", str(descriptor)),
                env=self._environ,
                pass_fds=[descriptor],
                stdin=PIPE,  # closes when this process ends, however it ends
            )
            self._running.add(worker)
            if self._stopped.is_set():  # told to stop meanwhile, which this worker has not heard
                worker.terminate()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
        return worker

    async def _pause(self) -> None:
        """Wait a moment, so that a worker that cannot start does not keep the machine busy; a stop ends the wait."""
        try:
            async with asyncio.timeout(_PAUSE_SECONDS):
                await self._stopped.wait()
        except TimeoutError:
            return

    def _pass_on(self, number: signal.Signals) -> None:
        if number != signal.SIGHUP:
            self._stopped.set()
            self._listening.close()  # else connections would queue here until the last worker has drained
        for worker in self._running:
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                worker.send_signal(number)
