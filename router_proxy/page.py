"""GET /ui: one static page that previews decisions and shows the counters. It fetches nothing from outside."""

from pathlib import Path

from aiohttp import web

_FILE = Path(__file__).with_name("page.html")
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; connect-src 'self'; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}


async def show_page(_: web.Request) -> web.Response:
    return web.Response(text=_FILE.read_text(encoding="utf-8"), content_type="text/html", headers=_HEADERS)
