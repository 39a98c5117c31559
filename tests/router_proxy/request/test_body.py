"""Rewriting `model`, and nothing else."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_proxy.errors import RequestInvalid
from router_proxy.request.body import read_body, with_model, with_params

_TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
_NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
_VALUES = st.recursive(
    st.none() | st.booleans() | _NUMBERS | _TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXTS | st.just("model"), inner, max_size=4),
    max_leaves=12,
)
_OBJECTS = st.dictionaries(_TEXTS, _VALUES, max_size=5)
_LAYOUTS = st.sampled_from([{}, {"separators": (",", ":")}, {"indent": 1}, {"indent": "\t", "ensure_ascii": False}])


@given(members=_OBJECTS, model=_TEXTS | st.none(), layout=_LAYOUTS, new=_TEXTS)
def test_only_the_model_changes(members: dict[str, Any], model: Any, layout: dict[str, Any], new: str) -> None:
    raw = json.dumps(members | {"model": model}, **layout).encode()

    rewritten = with_model(raw, new)

    assert json.loads(rewritten) == members | {"model": new}
    assert list(json.loads(rewritten)) == list(members | {"model": model})


@given(members=_OBJECTS, layout=_LAYOUTS, new=_TEXTS)
def test_an_absent_model_is_added(members: dict[str, Any], layout: dict[str, Any], new: str) -> None:
    members.pop("model", None)
    raw = json.dumps(members, **layout).encode()

    assert json.loads(with_model(raw, new)) == {"model": new} | members


@given(before=_OBJECTS, after=_OBJECTS, first=_TEXTS, last=_TEXTS, layout=st.sampled_from(["model", "Model", "MODEL"]))
def test_two_models_are_refused_wherever_they_stand(
    before: dict[str, Any], after: dict[str, Any], first: str, last: str, layout: str
) -> None:
    members = [*before.items(), ("model", first), *after.items(), (layout, last)]
    raw = "{" + ",".join(f"{json.dumps(name)}:{json.dumps(value)}" for name, value in members) + "}"

    with pytest.raises(RequestInvalid, match="model"):
        read_body(raw.encode())


@given(members=_OBJECTS, model=_TEXTS.filter(bool), layout=_LAYOUTS)
def test_one_model_is_read_whatever_is_beside_it(members: dict[str, Any], model: str, layout: dict[str, Any]) -> None:
    others = {name: value for name, value in members.items() if name.casefold() != "model"}

    assert read_body(json.dumps(others | {"model": model}, **layout).encode()).model == model


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b'{"model":"a","model":"a"}', id="twice the same"),
        pytest.param(b'{"model":"a","x":[{"model":"c"}],"model":"b"}', id="with another inside"),
        pytest.param(b'{"Model":"a"}', id="another case alone"),
        pytest.param(b'{"model":"a","MODEL":"b"}', id="another case too"),
        pytest.param(rb'{"mod\u0065l":"a","model":"b"}', id="an escaped letter"),
        pytest.param(rb'{"\u006d\u006F\u0064\u0065\u006C":"a","model":"b"}', id="nothing but escapes"),
        pytest.param(rb'{"\u004Dodel":"a"}', id="an escaped letter of another case"),
        pytest.param(b'{"x":"\\\\","model":"a" , "model" : "b"}', id="after a backslash"),
        pytest.param(b'{"x":"\\"model\\":1","model":"a","y":"{","model":null}', id="after brackets in strings"),
    ],
)
def test_what_another_may_read_otherwise_is_refused(raw: bytes) -> None:
    with pytest.raises(RequestInvalid) as refused:
        read_body(raw)

    assert (refused.value.code, refused.value.param) == ("ambiguous_body", "model")


@pytest.mark.parametrize(
    "raw",
    [
        b'{"x":{"model":"b","Model":"c"},"model":"a"}',
        b'{"model":"a","tools":[{"model":"b"},{"model":"c"}]}',
        rb'{"x":"\"model\":\"b\", \"model\":","model":"a"}',
        b'{"models":"b","model":"a","a model":"c","x":"model"}',
        rb'{"x":"\\\\u006dodel","model":"a"}',
    ],
)
def test_what_only_looks_like_another_model_is_none(raw: bytes) -> None:
    assert read_body(raw).model == "a"
    assert json.loads(with_model(raw, "new")) == json.loads(raw) | {"model": "new"}


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        pytest.param(rb'{"model":"\ud800"}', "without its pair", id="half a pair"),
        pytest.param(rb'{"model":"a","x":"\udc00"}', "without its pair", id="the other half"),
        pytest.param('{"model":"a"}'.encode("utf-16"), "UTF-16", id="UTF-16"),
        pytest.param('{"model":"a"}'.encode("utf-16-be"), "expected JSON", id="UTF-16 without a mark"),
        pytest.param('{"model":"ü"}'.encode("latin-1"), "expected UTF-8", id="Latin-1"),
        pytest.param(b'{"model":"a","x":"\xed\xa0\x80"}', "expected UTF-8", id="a surrogate in UTF-8"),
        pytest.param(b'{"model":"' + b"a" * 2000 + b'"}', "at most 1024", id="a very long name"),
        pytest.param(b'{"model":[{},{}]}', "model: expected str", id="a model that is a list"),
    ],
)
def test_what_is_wrong_is_said(raw: bytes, message: str) -> None:
    with pytest.raises(RequestInvalid, match=message):
        read_body(raw)


@pytest.mark.parametrize(
    ("raw", "rewritten"),
    [
        pytest.param(b'{"model":"a","n":1.50}', b'{"model":"b","n":1.50}', id="numbers keep their form"),
        pytest.param(b'{ "x" : 1e3 , "model" : "a" }\n', b'{ "x" : 1e3 , "model" : "b" }\n', id="spaces stay"),
        pytest.param(b'{"x":{"model":"a"},"model":"a"}', b'{"x":{"model":"a"},"model":"b"}', id="nested models stay"),
        pytest.param(
            b'{"x":"\\"model\\":1","model":"a"}', b'{"x":"\\"model\\":1","model":"b"}', id="models in strings"
        ),
        pytest.param(b'{"mod\\u0065l":"a"}', b'{"mod\\u0065l":"b"}', id="an escaped name is the same name"),
        pytest.param(b'{"x":"]}{[","model":null}', b'{"x":"]}{[","model":"b"}', id="brackets in strings"),
        pytest.param(b'{"x":"\\\\","model":"a"}', b'{"x":"\\\\","model":"b"}', id="escaped backslash at the end"),
        pytest.param('{"x":"\u00fc\\u00fc"}'.encode(), '{"model":"b","x":"\u00fc\\u00fc"}'.encode(), id="added first"),
        pytest.param(b"{ }", b'{"model":"b" }', id="added to an empty object"),
    ],
)
def test_every_other_byte_stays(raw: bytes, rewritten: bytes) -> None:
    assert with_model(raw, "b") == rewritten


def test_params_win_deeply_and_the_rest_keeps_its_bytes() -> None:
    raw = b'{"temperature": 0.70, "chat_template_kwargs": {"enable_thinking": true, "x": 1}, "n": 1.0}'

    merged = with_params(raw, {"chat_template_kwargs": {"enable_thinking": False}, "top_p": 0.9})

    assert json.loads(merged)["chat_template_kwargs"] == {"enable_thinking": False, "x": 1}
    assert json.loads(merged)["top_p"] == 0.9
    assert b"0.70" in merged
    assert b'"n":1.0' in merged


def test_members_beside_a_merged_one_keep_their_bytes_too() -> None:
    raw = rb'{"kwargs": {"a": 1e2, "b": 1.10, "c": 1e999, "d": "\u00fc", "e": {"f": 12345678901234567890123}}}'

    merged = with_params(raw, {"kwargs": {"e": {"g": True}}})

    kept = rb'"a":1e2,"b":1.10,"c":1e999,"d":"\u00fc","e":{"f":12345678901234567890123,"g":true}'
    assert merged == b'{"kwargs":{' + kept + b"}}"


@pytest.mark.parametrize("present", ["null", "7", '"x"', "[1]"])
def test_an_object_takes_the_place_of_what_is_none(present: str) -> None:
    assert with_params(f'{{"kwargs": {present}}}'.encode(), {"kwargs": {"a": 1}}) == b'{"kwargs":{"a":1}}'


def test_no_params_change_nothing() -> None:
    assert with_params(b'{ "a": 1 }', {}) == b'{ "a": 1 }'


@pytest.mark.parametrize(
    ("raw", "model"),
    [
        pytest.param(b'{"model":"a"}', "a", id="named"),
        pytest.param(b'{"model":""}', None, id="empty"),
        pytest.param(b'{"model":null}', None, id="null"),
        pytest.param(b"{}", None, id="absent"),
    ],
)
def test_the_model_asked_for_is_read(raw: bytes, model: str | None) -> None:
    assert read_body(raw).model == model


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"prove it", id="text"),
        pytest.param(b'{"model": "a"', id="cut off"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b'{"model": 7}', id="a model that is a number"),
        pytest.param(b'{"model": false}', id="a model that is false"),
        pytest.param(b'{"model": "\xff"}', id="invalid UTF-8"),
        pytest.param(b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", id="nested without end"),
    ],
)
def test_what_is_not_a_request_is_refused(raw: bytes) -> None:
    with pytest.raises(RequestInvalid):
        read_body(raw)
