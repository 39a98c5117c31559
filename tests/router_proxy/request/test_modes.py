"""Reading the mode header, and what a mode and a model field come to."""

import pytest

from router_proxy.errors import RequestInvalid
from router_proxy.request.modes import Handling, Mode, handling, read_mode


@pytest.mark.parametrize(
    ("header", "mode"),
    [
        (None, Mode.SHADOW),
        ("", Mode.SHADOW),
        ("off", Mode.OFF),
        ("auto", Mode.AUTO),
        (" Force ", Mode.FORCE),
    ],
)
def test_the_header_names_the_mode_or_the_default_holds(header: str | None, mode: Mode) -> None:
    assert read_mode(header, Mode.SHADOW, tuple(Mode)) is mode


@pytest.mark.parametrize("header", ["force", "enforce", "on", "true"])
def test_an_unknown_or_disallowed_mode_is_refused_with_the_allowed_ones(header: str) -> None:
    with pytest.raises(RequestInvalid, match=f"expected one of off, auto, got '{header}'"):
        read_mode(header, Mode.OFF, (Mode.AUTO, Mode.OFF))


@pytest.mark.parametrize(
    ("mode", "model", "expected"),
    [
        (Mode.OFF, "some-model", Handling.OFF),
        (Mode.OFF, "router", Handling.OFF),
        (Mode.AUTO, "router", Handling.ROUTE),
        (Mode.AUTO, "", Handling.ROUTE),
        (Mode.AUTO, None, Handling.ROUTE),
        (Mode.AUTO, "some-model", Handling.EXPLICIT),
        (Mode.SHADOW, "some-model", Handling.SHADOW),
        (Mode.SHADOW, "router", Handling.SHADOW),
        (Mode.FORCE, "some-model", Handling.ROUTE),
        (Mode.FORCE, "router", Handling.ROUTE),
    ],
)
def test_mode_and_model_decide_what_happens(mode: Mode, model: str | None, expected: Handling) -> None:
    assert handling(mode, model) is expected
