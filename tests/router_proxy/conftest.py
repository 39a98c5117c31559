"""A proxy in front of real HTTP servers, with the stand-in Triton behind it."""

import asyncio
import io
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from local.stack.processes import free_ports
from router_proxy.app import create_app
from router_proxy.background.upstream_health import HEALTH
from router_proxy.clients.listening import ClientRunner
from router_proxy.configuration.settings import Settings, read_settings
from router_proxy.gateway import Gateway
from router_proxy.reloading import LIVE_GATEWAY, LiveGateway
from routing_policy.policy_file import load_policy
from tests.stand_ins.raw_server import Serve, raw_server
from tests.stand_ins.triton import StandInTriton
from tests.stand_ins.upstream import EchoUpstream

GENERAL = "meta-llama/Meta-Llama-3.1-8B-Instruct"
REASONING = "deepseek-ai/DeepSeek-R1-Distill-Llama-8B"
POLICY = Path(__file__).parents[2] / "configs" / "semantic-router-binary.yaml"

HARD = "Prove sqrt(2) is irrational"
EASY = "What is 2+2?"


class Proxy(msgspec.Struct, frozen=True, kw_only=True):
    """A running proxy with what stands behind it."""

    client: TestClient[Any, Any]
    urls: dict[str, str]
    general: EchoUpstream
    reasoning: EchoUpstream

    async def chat(
        self, text: str, *, model: str | None = "router", mode: str | None = "auto", **extra: Any
    ) -> "Answer":
        body = {"model": model, "messages": [{"role": "user", "content": text}], **extra}
        return await self.post("/v1/chat/completions", body, mode=mode)

    async def post(self, path: str, body: Any, *, mode: str | None = None, **headers: str) -> "Answer":
        """Send `body`, as JSON unless it is bytes; `headers` have _ for -."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if mode is not None:
            sent["X-Dynamo-Routing"] = mode
        data = io.BytesIO(body if isinstance(body, bytes) else msgspec.json.encode(body))
        async with self.client.post(path, data=data, headers=sent) as response:
            return Answer(
                status=response.status,
                headers={name.lower(): value for name, value in response.headers.items()},
                body=await response.json(),
            )

    @property
    def gateway(self) -> Gateway:
        return self.live.current

    @property
    def live(self) -> LiveGateway:
        live: LiveGateway = self.client.app[LIVE_GATEWAY]
        return live

    async def check_health(self) -> None:
        """Check every endpoint once, now."""
        await self.client.app[HEALTH].check_all()

    async def shadow_drained(self) -> None:
        """Return once every shadow decision submitted so far is taken."""
        routing = self.gateway.routing
        assert routing is not None
        await routing.shadow.drained()

    async def until_ended(self, requests: int) -> None:
        """Return once so many requests on routed surfaces are recorded: a client that leaves does not wait for that."""
        async with asyncio.timeout(30):
            while await self.metric("semrouter_requests_total") < requests:
                pass

    async def metrics(self) -> str:
        return await (await self.client.get("/metrics")).text()

    async def metric(self, name: str, **labels: str) -> float:
        """Return the sum of the samples of `name` that carry `labels`."""
        text = await self.metrics()
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        samples = [line for line in text.splitlines() if line.startswith((name + "{", name + " "))]
        return sum(float(line.rsplit(" ", 1)[1]) for line in samples if all(each in line for each in wanted))


class ProxyServer(TestServer):
    """aiohttp's server for tests, on connections as `semrouter serve` has them."""

    def __init__(self, app: web.Application, settings: Settings) -> None:
        super().__init__(app)
        self._settings = settings

    async def _make_runner(self, **runner_settings: Any) -> ClientRunner:
        return ClientRunner(self.app, self._settings, **runner_settings)


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    status: int
    headers: dict[str, str]
    body: Any

    @property
    def outcome(self) -> str:
        return self.headers["x-semrouter-outcome"]


StartProxy = Callable[..., Awaitable[Proxy]]
StartRaw = Callable[[Serve], Awaitable[str]]
StartUpstream = Callable[[str], Awaitable[tuple[EchoUpstream, str]]]


@pytest.fixture
def gone_url() -> str:
    """Return a URL nobody listens at."""
    return f"http://127.0.0.1:{free_ports(1)[0]}"


@pytest.fixture
async def stand_in() -> AsyncIterator[StandInTriton]:
    yield StandInTriton(load_policy(POLICY))


@pytest.fixture
async def stand_in_url(stand_in: StandInTriton) -> AsyncIterator[str]:
    async with stand_in.serving() as url:
        yield url


@pytest.fixture
async def start_raw() -> AsyncIterator[StartRaw]:
    """Start servers that answer as `raw_server` says, and return their URLs."""
    async with AsyncExitStack() as servers:
        yield lambda serve: servers.enter_async_context(raw_server(serve))


@pytest.fixture
async def start_upstream() -> AsyncIterator[StartUpstream]:
    """Start echo upstreams, and return each with its URL."""
    async with AsyncExitStack() as servers:

        async def start(name: str) -> tuple[EchoUpstream, str]:
            upstream = EchoUpstream(name)
            server = await servers.enter_async_context(TestServer(upstream.app))
            return upstream, str(server.make_url(""))

        yield start


@pytest.fixture
async def start_proxy(tmp_path: Path) -> AsyncIterator[StartProxy]:
    """Start a proxy on the two echo upstreams; `upstreams` and SEMROUTER_* variables override what it is given."""
    closing: list[Callable[[], Awaitable[None]]] = []

    async def start(triton_url: str, upstreams: dict[str, Any] | None = None, **variables: str) -> Proxy:
        general, reasoning = EchoUpstream(GENERAL), EchoUpstream(REASONING)
        servers = {each.name: TestServer(each.app) for each in (general, reasoning)}
        for server in servers.values():
            await server.start_server()
            closing.append(server.close)
        urls = {name: str(server.make_url("")) for name, server in servers.items()}
        form = {"upstreams": {name: {"endpoints": [url]} for name, url in urls.items()}}
        (tmp_path / "upstreams.yaml").write_text(yaml.safe_dump(_merged(form, upstreams or {})))
        environ = {
            "SEMROUTER_ENABLED": "true",
            "SEMROUTER_CONFIG": str(POLICY),
            "SEMROUTER_UPSTREAMS": str(tmp_path / "upstreams.yaml"),
            "SEMROUTER_TRITON_URL": triton_url,
            "SEMROUTER_ROUTING_BUDGET_MS": "2000",
            "SEMROUTER_CANARY_SECONDS": "0",  # so that the stand-in hears only what a test asks
        } | variables
        settings = read_settings(environ)
        client: TestClient[Any, Any] = TestClient(ProxyServer(create_app(settings, environ), settings))
        await client.start_server()
        closing.append(client.close)
        return Proxy(client=client, urls=urls, general=general, reasoning=reasoning)

    yield start
    for close in reversed(closing):
        await close()


@pytest.fixture
async def proxy(start_proxy: StartProxy, stand_in_url: str) -> Proxy:
    return await start_proxy(stand_in_url)


def _merged(base: dict[str, Any], wins: dict[str, Any]) -> dict[str, Any]:
    return base | {
        name: _merged(base[name], value) if isinstance(value, dict) and isinstance(base.get(name), dict) else value
        for name, value in wins.items()
    }
