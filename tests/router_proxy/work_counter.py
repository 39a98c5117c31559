"""Counting what a piece of work costs the interpreter, the same on every machine and every run: no clock is read."""

import asyncio
import dis
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import msgspec

import router_proxy
import routing_policy

_OURS = tuple(str(Path(package.__path__[0])) for package in (router_proxy, routing_policy))
# Instructions that do work and that Python 3.11 and 3.12 compile alike; loads, stores and jumps are not among them.
_WORKING = ("CALL", "BINARY", "BUILD_LIST", "BUILD_TUPLE", "BUILD_MAP", "BUILD_STRING", "FORMAT", "CONTAINS", "COMPARE")
_QUIET_TURNS = 10  # of the event loop, after which what a request leaves behind is done


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """`calls` of anything by anybody, by name; `operations` of our own code, by the function they stand in."""

    calls: Counter[str]
    operations: Counter[str]

    def __sub__(self, other: "Work") -> "Work":
        return Work(
            calls=_difference(self.calls, other.calls), operations=_difference(self.operations, other.operations)
        )


def _difference(more: Counter[str], less: Counter[str]) -> Counter[str]:
    return Counter({name: more[name] - less[name] for name in more | less})


async def usual_work(ask: Callable[[], Awaitable[None]], times: int = 7) -> Work:
    """Return what `ask` and all it sets off in this thread usually cost: now and then something else goes on, too."""
    for _ in range(3):
        await _settled(ask)
    return sorted([await _counted(ask) for _ in range(times)], key=lambda work: work.calls.total())[times // 2]


async def _counted(ask: Callable[[], Awaitable[None]]) -> Work:
    work = Work(calls=Counter(), operations=Counter())
    tracer, profiler = sys.gettrace(), sys.getprofile()
    sys._getframe().f_trace_opcodes = True  # without it Python 3.12 traces no instructions until the next settrace
    sys.settrace(_Tracer(work.operations).on_call)
    sys.setprofile(_profiler(work.calls))
    try:
        await _settled(ask)
    finally:
        sys.setprofile(profiler)
        sys.settrace(tracer)
    return work


async def _settled(ask: Callable[[], Awaitable[None]]) -> None:
    await ask()
    for _ in range(_QUIET_TURNS):
        await asyncio.sleep(0)


def _profiler(calls: Counter[str]) -> Callable[[FrameType, str, Any], None]:
    def note(frame: FrameType, event: str, called: Any) -> None:
        if event == "call":
            calls[frame.f_code.co_qualname] += 1
        elif event == "c_call":
            calls[called.__qualname__] += 1

    return note


class _Tracer:
    """Counts instructions, of our own files only: tracing anybody else's would take long and change with them."""

    def __init__(self, operations: Counter[str]) -> None:
        self._operations = operations

    def on_call(self, frame: FrameType, _event: str, _: Any) -> Callable[[FrameType, str, Any], Any] | None:
        if not frame.f_code.co_filename.startswith(_OURS):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return self._on_instruction

    def _on_instruction(self, frame: FrameType, event: str, _: Any) -> Callable[[FrameType, str, Any], Any]:
        if event == "opcode" and frame.f_lasti in _working_offsets(frame.f_code):
            self._operations[frame.f_code.co_qualname] += 1
        return self._on_instruction


@cache
def _working_offsets(code: CodeType) -> frozenset[int]:
    return frozenset(each.offset for each in dis.get_instructions(code) if each.opname.startswith(_WORKING))
