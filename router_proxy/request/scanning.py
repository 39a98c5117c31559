"""Reading large bodies in threads of their own, so that whoever waits for a byte of another request does not wait."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Concatenate, ParamSpec, TypeVar

Found = TypeVar("Found")
Arguments = ParamSpec("Arguments")
LARGE_BYTES = 2**18  # which takes about a millisecond to go through
_THREADS = 2  # so many large bodies are objects at once; the others wait their turn


class Scanner:
    """Reads small bodies at once and large ones in a thread."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="scanning")

    async def read(
        self,
        read: Callable[Concatenate[bytes, Arguments], Found],
        raw: bytes,
        *args: Arguments.args,
        **named: Arguments.kwargs,
    ) -> Found:
        """Return what `read` makes of `raw`."""
        if len(raw) <= LARGE_BYTES:
            return read(raw, *args, **named)
        return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: read(raw, *args, **named))

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
