"""What nothing else serves: an unknown path, or a method that a path does not have."""

from typing import NoReturn

from aiohttp import web

from router_proxy.errors import MethodUnknown
from router_proxy.request.target import nothing_at

from . import passthrough


async def refuse_path(request: web.Request) -> NoReturn:
    allowed: set[str] = set()
    for resource in request.app.router.resources():
        _, methods = await resource.resolve(request)
        allowed |= methods
    allowed.discard("*")  # what is served by any method is not here, and this route itself is
    if allowed:
        raise MethodUnknown(f"{request.method} is not allowed on {request.path}.", allowed=allowed)
    raise nothing_at(request, passthrough.PATHS)
