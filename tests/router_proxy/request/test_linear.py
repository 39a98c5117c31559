"""Reading what clients send costs steps in proportion to its length, whatever it is: counted, no clock is read."""

import json
import sys
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import pytest

from router_proxy.errors import RequestInvalid
from router_proxy.request.body import read_body, with_model, with_params
from router_proxy.request.forms import form_model
from router_proxy.request.json_members import MANY_VALUES
from router_proxy.request.needs import read_needs
from router_proxy.request.surfaces import SURFACES, Surface, read_any_ask

SIZE = 5_000
LARGE = 400_000  # so much that reading it in quadratic time would take hours
BODIES: dict[str, Callable[[int], bytes]] = {
    "empty objects": lambda n: b'{"messages":[' + b"{}," * n + b'{}],"model":"m"}',
    "nested brackets": lambda n: b'{"messages":[' + (b"[" * 50 + b"]" * 50 + b",") * (n // 50) + b'1],"model":"m"}',
    "models inside": lambda n: b'{"x":[' + b'{"model":"a"},' * (n // 10) + b'{}],"model":"m"}',
    "models as text": lambda n: json.dumps({"x": '"model": ' * n, "model": "m"}).encode(),
    "short strings": lambda n: b'{"x":[' + b'"a",' * n + b'""],"model":"m"}',
    "backslashes": lambda n: b'{"x":"' + b"\\\\" * n + b'","model":"m"}',
    "escaped quotes": lambda n: b'{"x":"' + b'\\"' * n + b'","model":"m"}',
    "escaped letters": lambda n: b'{"x":"' + b"\\u006d" * n + b'","model":"m"}',
    "members": lambda n: b'{"model":"m",' + b",".join(b'"a%d":1' % each for each in range(n)) + b"}",
    "base64 in lines": lambda n: b'{"model":"m","data":"' + (b"A" * 76 + b"\\n") * (n // 10) + b'"}',
    "base64 from PHP": lambda n: b'{"model":"m","data":"' + b"AAAA\\/" * n + b'!"}',
    "base64 cut short": lambda n: b'{"model":"m","data":"' + b"A" * 255 * (n // 50) + b' ","y":"' + b"A " * n + b'"}',
    "types": lambda n: b'{"model":"m","x":"' + b'\\"type\\"   :   ' * n + b'"}',
    "spaces": lambda n: b'{"model"' + b" " * n + b":" + b" " * n + b'"m"' + b"\n" * n + b"}",
    "tags": lambda n: json.dumps(
        {"model": "m", "messages": [{"role": "user", "content": "<system-reminder>" * n}]}
    ).encode(),
    "short asks": lambda n: json.dumps({"model": "m", "messages": [{"role": "user", "content": "go"}] * n}).encode(),
    "token ids": lambda n: b'{"model":"m","prompt":[' + b"7," * n + b"7]}",
}


def steps_of(work: Callable[[], Any]) -> int:
    """Return how many calls `work` takes; C's own loops are what the large bodies below are for."""
    steps = 0

    def note(*_: Any) -> None:
        nonlocal steps
        steps += 1

    sys.setprofile(note)
    try:
        work()
    except RequestInvalid:
        pass
    finally:
        sys.setprofile(None)
    return steps


def ask_reader(surface: Surface) -> Callable[[bytes], Any]:
    def read(raw: bytes) -> str | None:
        return surface.read_ask(raw, ("system-reminder",))

    return read


def read_all(raw: bytes) -> None:
    preview = partial(read_any_ask, injected_tags=())
    reads: list[Callable[[bytes], Any]] = [read_body, read_needs, *map(ask_reader, SURFACES), preview, rewritten]
    for read in reads:
        with suppress(RequestInvalid):
            read(raw)


def rewritten(raw: bytes) -> bytes:
    return with_params(with_model(raw, "other"), {"x": {"y": 1}})


@pytest.mark.parametrize("what", BODIES)
def test_steps_grow_no_faster_than_a_body(what: str) -> None:
    few, many = (steps_of(partial(read_all, BODIES[what](size))) for size in (SIZE, 2 * SIZE))

    assert many <= 2 * few + 200


@pytest.mark.parametrize("what", BODIES)
def test_a_large_body_is_read(what: str) -> None:
    read_all(BODIES[what](LARGE))


FORMS: dict[str, Callable[[int], bytes]] = {
    "parts": lambda n: b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n\r\n' * n + b"--b--",
    "dispositions": lambda n: b"--b\r\n" + b"content-disposition:" * n,
    "parameters": lambda n: b"--b\r\nContent-Disposition: form-data" + b"; a=b" * n + b"\r\n\r\n\r\n--b--",
    "semicolons": lambda n: b"--b\r\nContent-Disposition: form-data" + b";" * n + b"\r\n\r\n\r\n--b--",
    "quotes": lambda n: b'--b\r\nContent-Disposition: form-data; name="' + b'\\"' * n + b"\r\n\r\n\r\n--b--",
    "near boundaries": lambda n: b"--b\r\nContent-Disposition: form-data; name=x\r\n\r\n" + b"\r\n--" * n,
    "no boundary": lambda n: b"\r\n--" * n,
}


@pytest.mark.parametrize("what", FORMS)
@pytest.mark.parametrize("boundary", ["b", "-" * 69 + "b"])
def test_steps_grow_no_faster_than_a_form(what: str, boundary: str) -> None:
    content_type = f"multipart/form-data; boundary={boundary}"

    forms = [FORMS[what](size).replace(b"--b", b"--" + boundary.encode()) for size in (SIZE, 2 * SIZE, LARGE)]

    few, many, _ = (steps_of(partial(form_model, form, content_type)) for form in forms)

    assert many <= 2 * few + 200


@pytest.mark.parametrize("surface", SURFACES[:3], ids=lambda surface: surface.name)
@pytest.mark.parametrize("value", [b"{}", b"1", b'{"role":"user"}', b"[[]]"])
@pytest.mark.parametrize("name", ["messages", "input", "prompt", "model", "max_tokens", "previous_response_id"])
def test_many_values_are_never_objects_at_once(surface: Surface, value: bytes, name: str) -> None:
    """Each reading allocates a small multiple of the body, or refuses it."""
    raw = b'{"%s":[' % name.encode() + b",".join([value] * (2 * MANY_VALUES)) + b"]}"

    tracemalloc.start()
    for read in (read_body, read_needs, ask_reader(surface)):
        with suppress(RequestInvalid):
            read(raw)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 4 * len(raw) + 2**20
