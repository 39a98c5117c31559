"""What the requests of one conversation share, so that its turns can reach the server that has it in its cache.

A server's prefix cache holds the beginning of a prompt: tools, system text, first question. Nothing is remembered here,
so all workers and pods agree on the key.
"""

import re
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

import msgspec

from .scanning import LARGE_BYTES

# Said by clients and coding agents; the first that is there counts.
SESSION_HEADERS = ("x-session-id", "session_id", "x-claude-code-session-id", "x-session-affinity")
_BEGINNING_BYTES = 8192
# Marks that move to the newest message with each turn; they are no part of the prompt.
_CACHE_CONTROL = re.compile(rb'"cache_control"\s*+:\s*+\{[^{}]*+\}\s*+,?|,\s*+"cache_control"\s*+:\s*+\{[^{}]*+\}')
_LEADING_ROLES = frozenset({"system", "developer"})


class _Fields(msgspec.Struct):
    prompt_cache_key: Any = None
    conversation: Any = None
    tools: msgspec.Raw = msgspec.Raw(b"")
    system: msgspec.Raw = msgspec.Raw(b"")
    instructions: msgspec.Raw = msgspec.Raw(b"")
    prompt: msgspec.Raw = msgspec.Raw(b"")
    messages: msgspec.Raw = msgspec.Raw(b"")
    input: msgspec.Raw = msgspec.Raw(b"")


class _Role(msgspec.Struct):
    role: Any = None


_FIELDS = msgspec.json.Decoder(_Fields)
_MESSAGES = msgspec.json.Decoder(list[msgspec.Raw])
_ROLE = msgspec.json.Decoder(_Role)


def conversation_key(headers: Mapping[str, str], raw: bytes) -> bytes:
    """Return the session that `headers` or the body name, else a digest of what the conversation begins with."""
    for name in SESSION_HEADERS:
        if value := headers.get(name):
            return value.encode(errors="surrogateescape")
    if len(raw) > LARGE_BYTES:  # its beginning says enough, and reading it takes no time
        return _digest(raw[:_BEGINNING_BYTES])
    try:
        fields = _FIELDS.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # a form, say
        return _digest(raw[:_BEGINNING_BYTES])
    return _named(fields) or _digest(_beginning(fields))


def _named(fields: _Fields) -> bytes | None:
    conversation = fields.conversation
    if isinstance(conversation, dict):
        conversation = conversation.get("id")
    for name in (fields.prompt_cache_key, conversation):
        if isinstance(name, str) and name:
            return name.encode(errors="surrogatepass")
    return None


def _beginning(fields: _Fields) -> bytes:
    """Return tools, leading system text and the first turn after it, without what moves from turn to turn."""
    parts = [bytes(fields.tools), bytes(fields.system), bytes(fields.instructions), bytes(fields.prompt)]
    parts += _first_messages(bytes(fields.messages) or bytes(fields.input))
    return _CACHE_CONTROL.sub(b"", b"\0".join(parts))


def _first_messages(raw: bytes) -> list[bytes]:
    try:
        messages = _MESSAGES.decode(raw)
    except msgspec.DecodeError:  # Responses take a plain string, too
        return [raw]
    first: list[bytes] = []
    for message in messages:
        first.append(bytes(message))
        if _role(message) not in _LEADING_ROLES:
            break
    return first


def _role(message: msgspec.Raw) -> Any:
    try:
        return _ROLE.decode(message).role
    except msgspec.DecodeError:
        return None


def _digest(data: bytes) -> bytes:
    return blake2b(data, digest_size=16).digest()
