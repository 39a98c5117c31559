"""Asking every endpoint now and then whether it is there, and how long a prompt it takes."""

import asyncio
import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, Any

import aiohttp
import msgspec
from aiohttp import web
from yarl import URL

from router_proxy.record.metrics import Metrics
from router_proxy.upstreams.upstreams import Endpoint, Upstream, Upstreams

from .keep_going import keep_going

LOG = logging.getLogger("semrouter.upstreams")
_LONGEST_LIST_BYTES = 2**20
_TIMEOUT = aiohttp.ClientTimeout(total=2)


class _Model(msgspec.Struct):
    id: str
    max_model_len: Annotated[int, msgspec.Meta(ge=1)] | None = None


class _Models(msgspec.Struct):
    data: list[_Model]


_MODELS = msgspec.json.Decoder(_Models)


class UpstreamHealth:
    """Checks all endpoints at once, then rests; `current` gives the upstreams, which a reload may have replaced."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        current: Callable[[], Upstreams],
        metrics: Metrics,
        *,
        interval_seconds: float,
    ) -> None:
        self._session = session
        self._current = current
        self._metrics = metrics
        self._reported: set[tuple[str, str]] = set()
        self._worker = asyncio.create_task(
            keep_going("health checks", self.check_all, metrics, pause_seconds=interval_seconds)
        )

    async def close(self) -> None:
        self._worker.cancel()
        await asyncio.wait({self._worker})

    async def check_all(self) -> None:
        """Check every endpoint once."""
        upstreams = self._current()
        await asyncio.gather(
            *(
                self._check(upstream, endpoint)
                for upstream in map(upstreams.serving, upstreams)
                for endpoint in upstream.endpoints
            )
        )
        self._report(upstreams)

    def _report(self, upstreams: Upstreams) -> None:
        endpoints = upstreams.endpoints_by_place()
        for (upstream, url), endpoint in endpoints.items():
            self._metrics.endpoint_checked(upstream, _shown(url), up=endpoint.is_in_order)
        for upstream, url in self._reported - endpoints.keys():
            self._metrics.endpoint_left(upstream, _shown(url))
        self._reported = set(endpoints)

    async def _check(self, upstream: Upstream, endpoint: Endpoint) -> None:
        try:
            async with self._session.get(
                endpoint.url_for("/v1/models"),
                headers=upstream.own_headers(endpoint),
                timeout=_TIMEOUT,
                ssl=upstream.trust,
                allow_redirects=False,
            ) as answer:
                body = await _beginning(answer.content)
        except TimeoutError:  # once it may be busy, twice in a row it is taken for down
            _note(upstream, endpoint, is_down=endpoint.was_slow)
            endpoint.was_slow = True
            return
        except Exception:  # noqa: BLE001 - whatever it is, this endpoint cannot be asked
            _note(upstream, endpoint, is_down=True)
            return
        endpoint.was_slow = False
        _note(upstream, endpoint, is_down=answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR)
        endpoint.max_model_len = _max_model_len(body, upstream.name)


async def _beginning(content: aiohttp.StreamReader) -> bytes:
    """Return a model list whole, and of anything longer no more than one may be."""
    body = bytearray()
    async for chunk in content.iter_any():
        body += chunk
        if len(body) > _LONGEST_LIST_BYTES:
            break
    return bytes(body)


def _shown(url: str) -> str:
    """Leave out what a URL may say besides the place: a password."""
    return str(URL(url).with_user(None))


def _note(upstream: Upstream, endpoint: Endpoint, *, is_down: bool) -> None:
    if is_down != endpoint.is_down:
        LOG.warning("%s at %s is %s", upstream.name, endpoint.place, "down" if is_down else "up again")
    endpoint.is_down = is_down


def _max_model_len(body: bytes, name: str) -> int | None:
    """Return what the model list says of `name`; a server with one model may call it anything."""
    try:
        models: list[Any] = _MODELS.decode(body).data
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    named = [model for model in models if model.id == name] or models
    return named[0].max_model_len if len(named) == 1 else None


HEALTH = web.AppKey("health", UpstreamHealth)
