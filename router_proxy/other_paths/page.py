"""GET /ui: one static page on which a person tries prompts and sees counters and upstreams. It may talk only to us."""

import base64
import hashlib
import re
from pathlib import Path

from aiohttp import web

_FILE = Path(__file__).with_name("page.html")
_INLINE = {kind: re.compile(rf"<{kind}>(.*?)</{kind}>", re.DOTALL) for kind in ("script", "style")}


async def show_page(_: web.Request) -> web.Response:
    html = _FILE.read_text(encoding="utf-8")
    headers = {
        "Content-Security-Policy": content_security_policy(html),
        "Cache-Control": "no-store",  # not even the browser keeps what was typed once the page is left
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
    return web.Response(text=html, content_type="text/html", headers=headers)


def content_security_policy(html: str) -> str:
    """Allow the page's own script and style and requests to its own origin, nothing else (W3C CSP Level 3)."""
    inline = [f"{kind}-src {_hashes(element.findall(html))}" for kind, element in _INLINE.items()]
    return "; ".join(
        [
            "default-src 'none'",
            *inline,
            "connect-src 'self'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
        ]
    )


def _hashes(texts: list[str]) -> str:
    digests = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in texts)
    return " ".join(f"'sha256-{digest}'" for digest in digests)
