"""Finding and adding members of a JSON object in its bytes, in time linear in their number whatever they are.

All of it goes through the bytes in C and in pieces, so that it is quick and a thread that does it lets others run.
"""

import json
import re
from collections.abc import Iterator, Sequence

import msgspec

from router_proxy.errors import RequestInvalid

MANY_VALUES = 100_000  # in a body that is read into Python's objects, which take fifty times the room of `{},`
_MANY_NAMES = 10_000
_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_SPACE = rb"[ \t\n\r]*+"
_A_STRING = re.compile(_STRING, re.DOTALL)
_SOME_STRINGS = re.compile(rb'(?:[^"]*+' + _STRING + rb"){1,4096}+", re.DOTALL)
_MEMBER_NAME = re.compile(_SPACE + _STRING + _SPACE + rb":", re.DOTALL)
_TEXT_OR_NULL = re.compile(_STRING + rb"|null", re.DOTALL)
# Letters that no encoder escapes, and the one letter that some parsers take for an s: a name may hide behind them.
_ODDLY_WRITTEN = re.compile(rb"\\u00[4-7]|\\u017[fF]|\xc5\xbf")


class MemberName(msgspec.Struct, frozen=True):
    """A name and what finds it however it is written: in any case, with escapes."""

    name: str
    quoted: bytes
    written: re.Pattern[bytes]


def member_name(name: str) -> MemberName:
    letters = b"".join(_ways_to_write(letter) for letter in name)
    # A quote behind a backslash lies inside a string.
    written = re.compile(rb'"(?<!\\")(' + letters + rb')"' + _SPACE + b":" + _SPACE)
    return MemberName(name=name, quoted=b'"%s"' % name.encode(), written=written)


def check_named_once(raw: bytes, names: Sequence[MemberName]) -> None:
    """Refuse a JSON object that has one of `names` twice, or in another case: parsers differ on which one counts."""
    if not _needs_a_look(raw, names):
        return
    for name in names:
        found = list(_top_level(raw, name))
        if len(found) > 1:
            raise RequestInvalid(f"{name.name}: given more than once", code="ambiguous_body", param=name.name)
        if found and json.loads(b'"%s"' % found[0][1]) != name.name:
            raise RequestInvalid(f"{name.name}: expected in lower case", code="ambiguous_body", param=name.name)


def insert_first(raw: bytes, member: bytes) -> bytes:
    after_brace = raw.index(b"{") + 1
    is_empty = _MEMBER_NAME.match(raw, after_brace) is None
    return raw[:after_brace] + member + (b"" if is_empty else b",") + raw[after_brace:]


def only_text_span(raw: bytes, name: MemberName) -> tuple[int, int] | None:
    """Return where `name`, which `raw` is known to have, has its value, found without reading the rest.

    None when another member may be called so too, and only reading in order can tell them apart.
    """
    start = raw.find(name.quoted)
    if raw.find(name.quoted, start + 1) >= 0 or (b"\\u" in raw and _ODDLY_WRITTEN.search(raw)):
        return None
    found = name.written.match(raw, start)
    value = _TEXT_OR_NULL.match(raw, found.end()) if found else None
    return value.span() if value else None


def text_spans(raw: bytes, name: MemberName) -> list[tuple[int, int]]:
    """Return where `name`, a member with a text or null, has its value in `raw`, a valid JSON object."""
    starts = [found.end() for found in _top_level(raw, name)]
    return [value.span() for start in starts if (value := _TEXT_OR_NULL.match(raw, start))]


def check_values(raw: bytes) -> None:
    """Refuse JSON with more values than are to become objects at once."""
    if len(raw) > 2 * MANY_VALUES and _holds_more(raw, b",[{", MANY_VALUES):
        raise RequestInvalid(f"body: expected at most {MANY_VALUES} values", code="too_many_values")


def check_members(raw: bytes) -> None:
    """Refuse JSON with more members, at any depth, than are to become objects at once."""
    if len(raw) > 2 * MANY_VALUES and _holds_more(raw, b":", MANY_VALUES):
        raise RequestInvalid(f"body: expected at most {MANY_VALUES} members", code="too_many_values")


def _ways_to_write(letter: str) -> bytes:
    ways = []
    for each in {letter, letter.upper()}:
        code = "".join(f"[{digit}{digit.upper()}]" if digit.isalpha() else digit for digit in f"{ord(each):04x}")
        ways += [re.escape(each).encode(), rb"\\u" + code.encode()]
    if letter == "s":
        ways += [b"\xc5\xbf", rb"\\u017[fF]"]
    return b"(?:" + b"|".join(ways) + b")"


def _needs_a_look(raw: bytes, names: Sequence[MemberName]) -> bool:
    """Whether there may be more of `names` than one as it should be: seldom, and cheap to say."""
    lowered = raw.lower()
    for name in names:
        count = lowered.count(name.quoted)
        if count > 1 or count != raw.count(name.quoted):
            return True
    return (b"\\u" in raw or b"\xc5\xbf" in raw) and _ODDLY_WRITTEN.search(raw) is not None


def _top_level(raw: bytes, name: MemberName) -> Iterator[re.Match[bytes]]:
    """Yield where `name` stands among the members of the object itself, not of one inside it."""
    depth = counted_to = 0
    for number, found in enumerate(name.written.finditer(raw)):
        if number >= _MANY_NAMES:
            raise RequestInvalid(f"body: expected at most {_MANY_NAMES} members called {name.name}")
        for bare in _outside_strings(raw, counted_to, found.start()):
            depth += bare.count(b"{") + bare.count(b"[") - bare.count(b"}") - bare.count(b"]")
        counted_to = found.start()
        if depth == 1:
            yield found


def _holds_more(raw: bytes, signs: bytes, limit: int) -> bool:
    if sum(raw.count(sign) for sign in signs) <= limit:
        return False
    count = 0
    for bare in _outside_strings(raw, 0, len(raw)):
        count += sum(bare.count(sign) for sign in signs)
        if count > limit:
            return True
    return False


def _outside_strings(raw: bytes, start: int, end: int) -> Iterator[bytes]:
    """Yield what lies outside strings, some thousand strings at a time; `start` and `end` lie outside, too."""
    while start < end:
        some = _SOME_STRINGS.match(raw, start, end)
        stop = some.end() if some else end
        yield _A_STRING.sub(b"", raw[start:stop])
        start = stop
