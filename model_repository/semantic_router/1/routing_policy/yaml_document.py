"""Every YAML file that the product reads: bounded, and only what JSON can say too, so that nothing later trips over it.

YAML can say more than any of our files means: keys that are no text (`on:` is a boolean), aliases that contain
themselves, nine lines that unfold to a billion values, infinity, Python objects. All of that is refused here.
"""

import math
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from .errors import FileInvalid
from .problem import Problem

LARGEST_BYTES = 2**20  # as much as a ConfigMap may hold
MOST_VALUES = 50_000
MOST_LEVELS = 50
_TAG = "tag:yaml.org,2002:"
_MERGE = f"{_TAG}merge"
_SCALARS = {f"{_TAG}{name}" for name in ("str", "int", "float", "bool", "null")}
_LOADER = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
_NO_TEXT = re.compile("[\0\ud800-\udfff]")
_SMALLEST_INT, _LARGEST_INT = -(2**63), 2**64 - 1  # what JSON encoders and their readers agree on


def read_document(file: Path) -> dict[str, Any]:
    """Return what `file` says; FileInvalid names all that is wrong with it."""
    return parse_document(read_file(file), str(file))


def read_file(file: Path) -> bytes:
    """Return the content of a regular file that is not absurdly large; never waits, as for a named pipe's writer."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise _refused(file, "expected a regular file")
        with os.fdopen(descriptor, "rb") as opened:
            content = opened.read(LARGEST_BYTES + 1)
    except OSError as exc:
        raise _refused(file, f"cannot be read: {exc.strerror or exc}") from exc
    if len(content) > LARGEST_BYTES:
        raise _refused(file, f"expected at most {LARGEST_BYTES:,} bytes")
    return content


def parse_document(data: bytes, file: str) -> dict[str, Any]:
    """Return the mapping that `data` holds as YAML; `file` is only named in errors."""
    try:
        _check_size(data, file)
        loader = _LOADER(data)
        node = loader.get_single_node()
        if node is None:
            raise _refused(file, "is empty; expected a mapping")
        if problems := [*_Reading(file).problems(node)]:
            raise FileInvalid(*problems)
        document = loader.construct_document(node)
    except yaml.YAMLError as exc:
        raise FileInvalid(_not_yaml(exc, file)) from exc
    except (TypeError, ValueError, RecursionError) as exc:  # an alias to nothing, an impossible number
        raise _refused(file, f"is not valid YAML: {exc}") from exc
    if document is None:
        raise _refused(file, "is empty; expected a mapping")
    if not isinstance(document, dict):
        raise _refused(file, f"expected a mapping, got {type(document).__name__}")
    return document


def _refused(file: Path | str, reason: str) -> FileInvalid:
    return FileInvalid(Problem(file=str(file), path="$", reason=reason))


def _not_yaml(error: yaml.YAMLError, file: str) -> Problem:
    mark = error.problem_mark or error.context_mark if isinstance(error, yaml.MarkedYAMLError) else None
    if not isinstance(error, yaml.MarkedYAMLError) or mark is None:
        return Problem(file=file, path="$", reason=f"is not valid YAML: {error}")
    said = " ".join(part for part in (error.context, error.problem) if part)  # without what the file says there
    reason = f"is not valid YAML: {said}, line {mark.line + 1}, column {mark.column + 1}"
    return Problem(file=file, path="$", reason=reason, line=mark.line + 1)


def _check_size(data: bytes, file: str) -> None:
    """Refuse what is too large or too deep before anything is built that nests as deeply."""
    level = 0
    for count, event in enumerate(yaml.parse(data, Loader=_LOADER)):
        if isinstance(event, yaml.CollectionStartEvent):
            level += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            level -= 1
        if level > MOST_LEVELS:
            raise _refused(file, f"expected at most {MOST_LEVELS} levels")
        if count > 2 * MOST_VALUES:
            raise _too_many(file)


def _too_many(file: str) -> FileInvalid:
    return _refused(file, f"expected at most {MOST_VALUES:,} values, aliases unfolded")


class _Reading:
    """One walk over a document as it is once its aliases are unfolded."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._values = 0
        self._open: list[yaml.Node] = []  # from the document down to the value looked at

    def problems(self, node: yaml.Node, path: str = "$") -> Iterator[Problem]:
        """Yield what is wrong with `node`, the value at `path`, and in it."""
        self._values += 1
        if self._values > MOST_VALUES:
            raise _too_many(self._file)
        if any(node is each for each in self._open):
            yield self._problem(path, "expected no alias inside of what it stands for")
            return
        self._open.append(node)
        if isinstance(node, yaml.MappingNode):
            yield from self._of_mapping(node, path)
        elif isinstance(node, yaml.SequenceNode):
            yield from self._of_sequence(node, path)
        elif isinstance(node, yaml.ScalarNode):
            yield from self._of_scalar(node, path)
        self._open.pop()

    def _of_mapping(self, node: yaml.MappingNode, path: str) -> Iterator[Problem]:
        yield from self._of_tag(node, path, "map")
        seen: set[str] = set()
        for key, value in node.value:
            if key.tag not in {_TAG + "str", _MERGE}:
                yield self._problem(path, f"expected text as a key, got {_shown_key(key)}")
                continue
            if key.value in seen:
                yield self._problem(f"{path}.{key.value}", f"duplicate key {key.value!r}", line=key.start_mark.line + 1)
            seen.add(key.value)
            yield from self._of_scalar(key, path)
            yield from self.problems(value, path if key.tag == _MERGE else f"{path}.{key.value}")

    def _of_sequence(self, node: yaml.SequenceNode, path: str) -> Iterator[Problem]:
        yield from self._of_tag(node, path, "seq")
        for index, item in enumerate(node.value):
            yield from self.problems(item, f"{path}[{index}]")

    def _of_scalar(self, node: yaml.ScalarNode, path: str) -> Iterator[Problem]:
        if node.tag == f"{_TAG}timestamp":  # `2024-08-06` is the end of many a model's name
            node.tag = f"{_TAG}str"
        if node.tag not in {*_SCALARS, _MERGE}:
            yield self._problem(path, f"expected plain YAML, got the tag {_shown_tag(node.tag)}")
        elif reason := _unusual(node):
            yield self._problem(path, reason)

    def _of_tag(self, node: yaml.Node, path: str, plain: str) -> Iterator[Problem]:
        if node.tag != _TAG + plain:
            yield self._problem(path, f"expected plain YAML, got the tag {_shown_tag(node.tag)}")

    def _problem(self, path: str, reason: str, line: int | None = None) -> Problem:
        return Problem(file=self._file, path=path, reason=reason, line=line)


def _shown_tag(tag: str) -> str:
    return f"!!{tag.removeprefix(_TAG)}" if tag.startswith(_TAG) else tag


def _shown_key(key: yaml.Node) -> str:
    if not isinstance(key, yaml.ScalarNode):
        return "a list or a mapping"
    kind = {"bool": "a boolean", "int": "a number", "float": "a number", "null": "null"}
    read_as = kind.get(key.tag.removeprefix(_TAG), _shown_tag(key.tag))
    return f"{key.value}, which YAML reads as {read_as}; write it in quotes"


def _unusual(node: yaml.ScalarNode) -> str | None:
    """Return what JSON cannot say, or not in 64 bits."""
    constructor = yaml.constructor.SafeConstructor()
    if node.tag == f"{_TAG}float" and not math.isfinite(constructor.construct_yaml_float(node)):
        return f"expected a finite number, got {node.value}"
    if node.tag == f"{_TAG}int" and not _SMALLEST_INT <= constructor.construct_yaml_int(node) <= _LARGEST_INT:
        return f"expected a number of at most 64 bits, got {node.value}"
    if node.tag == f"{_TAG}str" and _NO_TEXT.search(node.value):
        return "expected text, got a NUL or half of a pair of surrogates"
    return None
