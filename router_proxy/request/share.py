"""Which requests are routed while only a share is: the same ones every time, at every worker and pod."""

from hashlib import blake2b
from typing import Literal

Arm = Literal["routed", "control"]
WHOLE = 100  # per cent
_DIGEST_BYTES = 8
_SALT = b"share"  # so that an arm does not go with the endpoint that a conversation hashes to


def arm_of(kept_together: bytes, share: float) -> Arm:
    """Return the arm of whatever has this key; a larger share only moves keys from control to routed."""
    digest = blake2b(kept_together, digest_size=_DIGEST_BYTES, key=_SALT).digest()
    place = int.from_bytes(digest) / 2 ** (8 * _DIGEST_BYTES) * WHOLE
    return "routed" if place < share else "control"
