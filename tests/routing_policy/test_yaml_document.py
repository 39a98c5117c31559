"""What no YAML file of ours may be: refused where it is read, with its place, before anything trips over it."""

import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing_policy.errors import FileInvalid
from routing_policy.yaml_document import LARGEST_BYTES, parse_document, read_document

BOMB = b"a: &a [x, x, x, x, x, x, x, x, x]\n" + b"".join(
    f"{name}: &{name} [{', '.join(f'*{before}' for _ in range(9))}]\n".encode()
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
MERGE_BOMB = b"a: &a {k: 1}\n" + b"".join(
    f"{name}: &{name} {{<<: [{', '.join(f'*{before}' for _ in range(9))}]}}\n".encode()
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("content", "path", "reason"),
    [
        pytest.param(b"params: {x: {on: 1}}", "$.params.x", "got on, which YAML reads as a boolean", id="on"),
        pytest.param(b"params: {No: 1}", "$.params", "got No, which YAML reads as a boolean", id="No"),
        pytest.param(b"weights: {4: 1}", "$.weights", "got 4, which YAML reads as a number", id="number as a key"),
        pytest.param(b"weights: {~: 1}", "$.weights", "got ~, which YAML reads as null", id="null as a key"),
        pytest.param(b"{[a]: 1}", "$", "got a list or a mapping", id="list as a key"),
        pytest.param(b"a: &a [*a]", "$.a[0]", "no alias inside of what it stands for", id="list in itself"),
        pytest.param(b"a: &a {b: {c: *a}}", "$.a.b.c", "no alias inside", id="mapping in itself"),
        pytest.param(b"a: &a {<<: *a}", "$.a", "no alias inside", id="merged into itself"),
        pytest.param(BOMB, "$", "expected at most 50,000 values", id="bomb of aliases"),
        pytest.param(MERGE_BOMB, "$", "expected at most 50,000 values", id="bomb of merges"),
        pytest.param(b"[" + b"x," * 200_000 + b"]", "$", "expected at most 50,000 values", id="many values"),
        pytest.param(b"a: " + b"[" * 200_000, "$", "expected at most 50 levels", id="deep flow"),
        pytest.param(b"- " * 200_000, "$", "expected at most 50 levels", id="deep blocks"),
        pytest.param(b"a: .inf", "$.a", "expected a finite number, got .inf", id="infinity"),
        pytest.param(b"a: [-.INF]", "$.a[0]", "expected a finite number", id="minus infinity"),
        pytest.param(b"a: .nan", "$.a", "expected a finite number, got .nan", id="not a number"),
        pytest.param(b"a: 1.0e+999", "$.a", "expected a finite number", id="overflow"),
        pytest.param(b"a: 99999999999999999999", "$.a", "at most 64 bits", id="large number"),
        pytest.param(b'a: "x\\0y"', "$.a", "expected text, got a NUL", id="NUL"),
        pytest.param(b"a: !!binary aGk=", "$.a", "got the tag !!binary", id="binary"),
        pytest.param(b"a: !!set {x}", "$.a", "got the tag !!set", id="set"),
        pytest.param(b"a: !mine x", "$.a", "got the tag !mine", id="own tag"),
        pytest.param(b"a: {b: 1, b: 2}", "$.a.b", "duplicate key 'b'", id="key twice"),
        pytest.param(b"a: *none", "$", "is not valid YAML", id="alias to nothing"),
        pytest.param(b"a: {<<: 1}", "$", "is not valid YAML", id="merged number"),
        pytest.param(b"a: 1\n---\nb: 2", "$", "is not valid YAML", id="two documents"),
    ],
)
def test_what_json_cannot_say_is_refused_with_its_path(content: bytes, path: str, reason: str) -> None:
    with pytest.raises(FileInvalid) as refused:
        parse_document(content, "a.yaml")

    problem = refused.value.problems[0]
    assert (problem.file, problem.path) == ("a.yaml", path)
    assert reason in problem.reason


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(FileInvalid) as refused:
        parse_document(b"a: {on: 1, off: 2}\nb: .inf\na: 1\n", "a.yaml")

    assert [(problem.path, problem.line) for problem in refused.value.problems] == [
        ("$.a", None),
        ("$.a", None),
        ("$.b", None),
        ("$.a", 3),
    ]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"base: &base {a: 1, b: 2}\nmine: {<<: *base, b: 3}", id="one"),
        pytest.param(b"base: &base {a: 1, b: 2}\nmine: {b: 3, <<: [*base]}", id="several, in any order"),
    ],
)
def test_merge_keys_give_what_they_name_and_what_stands_beside_them_wins(content: bytes) -> None:
    assert parse_document(content, "a.yaml")["mine"] == {"a": 1, "b": 3}


def test_a_name_that_looks_like_a_date_is_text() -> None:
    assert parse_document(b"model: 2024-08-06", "a.yaml") == {"model": "2024-08-06"}


def test_what_a_file_says_is_not_repeated_in_the_error() -> None:
    with pytest.raises(FileInvalid) as refused:
        parse_document(b"endpoints: ['http://me:geheim@a'", "a.yaml")

    assert "geheim" not in str(refused.value)
    assert refused.value.problems[0].line == 2


YAML = st.recursive(
    st.sampled_from(["1", ".inf", "on", "x", "2024-01-01", "*a", "&a y", "'\\u0000'", "0x1f", "1_0", "!!str 1", "~"]),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")
        | st.dictionaries(st.sampled_from(["a", "<<", "on", "1"]), inner, max_size=3).map(
            lambda items: "{" + ", ".join(f"{key}: {value}" for key, value in items.items()) + "}"
        )
    ),
    max_leaves=8,
)


@given(YAML)
def test_whatever_is_read_can_be_written_as_json(text: str) -> None:
    try:
        document = parse_document(f"a: {text}".encode(), "a.yaml")
    except FileInvalid:
        return

    assert msgspec.json.decode(msgspec.json.encode(document, order="deterministic")) == document


@given(st.binary(max_size=200))
def test_bytes_of_any_kind_are_read_or_refused(data: bytes) -> None:
    try:
        assert isinstance(parse_document(data, "a.yaml"), dict)
    except FileInvalid as refusal:
        assert refusal.problems


def named_pipe(file: Path) -> None:
    os.mkfifo(file)


def folder(file: Path) -> None:
    file.mkdir()


def device(file: Path) -> None:
    file.symlink_to("/dev/zero")


def large_file(file: Path) -> None:
    file.write_bytes(b"#" * (LARGEST_BYTES + 1))


def leave_out(_file: Path) -> None:
    pass


def link_to_itself(file: Path) -> None:
    file.symlink_to(file)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (named_pipe, "expected a regular file"),
        (folder, "expected a regular file"),
        (device, "expected a regular file"),
        (large_file, "expected at most 1,048,576 bytes"),
        (link_to_itself, "cannot be read: Too many levels of symbolic links"),
        (leave_out, "cannot be read: No such file or directory"),
    ],
)
def test_what_is_no_file_of_a_sensible_size_is_refused_at_once(
    make: Callable[[Path], None], reason: str, tmp_path: Path
) -> None:  # a table of functions
    file = tmp_path / "a.yaml"
    make(file)

    with pytest.raises(FileInvalid) as refused:
        read_document(file)

    assert str(refused.value) == f"{file}: $: {reason}"
