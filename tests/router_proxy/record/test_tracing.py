"""OpenTelemetry spans as a real collector gets them: OTLP over HTTP."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import grpc
import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.router_proxy.conftest import GENERAL, HARD, REASONING, Proxy, StartProxy
from tests.stand_ins.triton import StandInTriton

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
INTERNAL, SERVER, CLIENT = 1, 2, 3
ERROR = 2


class Span(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    kind: int
    trace: str
    id: str
    parent: str
    failed: bool
    attributes: dict[str, Any]


class Collector:
    """Takes what an OTLP exporter sends."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.services: set[str] = set()
        self.raw = b""
        self.app = web.Application()
        self.app.router.add_post("/v1/traces", self._take)

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.raw += body
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.services.add(_values(resource.resource.attributes)["service.name"])
            for scope in resource.scope_spans:
                self.spans += [_span(each) for each in scope.spans]
        return web.Response()

    def one(self, kind: int) -> Span:
        (span,) = [span for span in self.spans if span.kind == kind]
        return span


def _span(span: Any) -> Span:
    return Span(
        name=span.name,
        kind=span.kind,
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        failed=span.status.code == ERROR,
        attributes=_values(span.attributes),
    )


def _values(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}


@pytest.fixture
async def collector(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Collector]:
    """Collect at the address that the standard variable names."""
    collecting = Collector()
    async with TestServer(collecting.app) as server:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", str(server.make_url("/")))
        yield collecting


@pytest.fixture
async def proxy(start_proxy: StartProxy, stand_in_url: str, collector: Collector) -> Proxy:  # noqa: ARG001 - first
    return await start_proxy(stand_in_url, SEMROUTER_TRACING="true")


async def test_a_request_its_decision_and_its_upstream_are_one_trace_that_the_client_began(
    proxy: Proxy, collector: Collector, stand_in: StandInTriton
) -> None:
    body = {"model": "router", "messages": [{"role": "user", "content": HARD}]}
    answer = await proxy.post("/v1/chat/completions", body, mode="auto", traceparent=f"00-{TRACE}-{PARENT}-01")
    await proxy.client.close()

    server, decision, upstream = collector.one(SERVER), collector.one(INTERNAL), collector.one(CLIENT)
    assert {span.trace for span in collector.spans} == {TRACE}
    assert [(span.name, span.parent) for span in (server, decision, upstream)] == [
        ("POST /v1/chat/completions", PARENT),
        ("route", server.id),
        (f"chat {REASONING}", server.id),
    ]
    assert answer.body["received"]["headers"]["traceparent"] == f"00-{TRACE}-{upstream.id}-01"
    assert [metadata["traceparent"] for metadata in stand_in.metadata if "traceparent" in metadata] == [
        f"00-{TRACE}-{decision.id}-01"
    ]
    assert collector.services == {"semrouter-proxy"}


async def test_spans_say_what_was_decided_and_used_in_the_standard_words_and_never_the_text(
    proxy: Proxy, collector: Collector
) -> None:
    await proxy.chat(HARD)
    await proxy.client.close()

    server, decision, upstream = (collector.one(kind).attributes for kind in (SERVER, INTERNAL, CLIENT))
    assert server["http.route"] == "/v1/chat/completions"
    assert server["http.response.status_code"] == 200
    routing = {"semrouter.mode": "auto", "semrouter.outcome": "routed", "semrouter.target": REASONING}
    assert routing.items() <= server.items()
    assert routing.items() <= decision.items()
    assert decision["semrouter.rationale"] == decision["semrouter.winner"] == "reasoning"
    assert decision["semrouter.confidence"] == 0.9
    assert decision["semrouter.cache"] == "miss"
    assert upstream["gen_ai.operation.name"] == "chat"
    assert upstream["gen_ai.request.model"] == REASONING
    assert (upstream["gen_ai.usage.input_tokens"], upstream["gen_ai.usage.output_tokens"]) == (7, 5)
    assert upstream["server.address"] == "127.0.0.1"
    assert b"sqrt" not in collector.raw


async def test_a_shadow_decision_belongs_to_the_trace_of_its_request(proxy: Proxy, collector: Collector) -> None:
    await proxy.chat(HARD, model=GENERAL, mode="shadow")
    await proxy.shadow_drained()
    await proxy.client.close()

    assert collector.one(INTERNAL).parent == collector.one(SERVER).id
    assert collector.one(INTERNAL).attributes["semrouter.target"] == REASONING
    assert collector.one(CLIENT).attributes["gen_ai.request.model"] == GENERAL


async def test_failing_open_and_each_failed_attempt_are_marked(
    start_proxy: StartProxy, stand_in: StandInTriton, stand_in_url: str, collector: Collector, gone_url: str
) -> None:
    upstreams = {"upstreams": {GENERAL: {"endpoints": [gone_url], "fallbacks": [REASONING]}}}
    proxy = await start_proxy(stand_in_url, upstreams, SEMROUTER_TRACING="true")
    stand_in.error = (grpc.StatusCode.INTERNAL, f"cannot judge {HARD}")

    await proxy.chat(HARD)
    await proxy.client.close()

    decision = collector.one(INTERNAL)
    attempts = [
        (span.attributes["gen_ai.request.model"], span.failed) for span in collector.spans if span.kind == CLIENT
    ]
    assert (decision.failed, decision.attributes["error.type"]) == (True, "failopen_error")
    assert attempts == [(GENERAL, True), (REASONING, False)]
    assert not collector.one(SERVER).failed
    assert b"sqrt" not in collector.raw


async def test_a_stream_is_spanned_to_its_end_and_a_client_that_leaves_is_marked(
    proxy: Proxy, collector: Collector
) -> None:
    proxy.reasoning.held.clear()
    body = {"model": REASONING, "stream": True, "messages": []}
    async with proxy.client.post("/v1/chat/completions", json=body) as response:
        await response.content.readany()
        assert collector.spans == []
    async with asyncio.timeout(10):
        await proxy.reasoning.cancelled.wait()
    await proxy.client.close()

    assert collector.one(CLIENT).failed
    assert collector.one(SERVER).attributes["error.type"]


async def test_refusals_and_other_paths_have_a_span_and_probes_have_none(proxy: Proxy, collector: Collector) -> None:
    await proxy.post("/v1/chat/completions", {"model": "nobody"}, mode="auto")
    await proxy.post("/v1/embeddings", {"model": GENERAL, "input": HARD})
    for path in ("/health/live", "/health/ready", "/metrics", "/nowhere"):
        async with proxy.client.get(path):
            pass
    await proxy.client.close()

    servers = {
        span.name: span.attributes["http.response.status_code"] for span in collector.spans if span.kind == SERVER
    }
    assert servers == {"POST /v1/chat/completions": 404, "POST /v1/{rest}": 200, "GET /{path}": 404}
    assert collector.one(CLIENT).attributes["gen_ai.request.model"] == GENERAL


async def test_the_standard_variables_name_and_sample(
    start_proxy: StartProxy, stand_in_url: str, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "edge")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_always_off")
    proxy = await start_proxy(stand_in_url, SEMROUTER_TRACING="true")
    body = {"model": GENERAL, "messages": []}

    await proxy.post("/v1/chat/completions", body)
    await proxy.post("/v1/chat/completions", body, traceparent=f"00-{TRACE}-{PARENT}-01")
    await proxy.client.close()

    assert {span.trace for span in collector.spans} == {TRACE}
    assert collector.services == {"edge"}


async def test_a_collector_that_is_gone_costs_no_request(
    start_proxy: StartProxy, stand_in_url: str, gone_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", gone_url)
    proxy = await start_proxy(stand_in_url, SEMROUTER_TRACING="true")

    answer = await proxy.chat(HARD)

    assert (answer.status, answer.outcome) == (200, "routed")


async def test_off_the_clients_own_trace_passes_through(
    start_proxy: StartProxy, stand_in_url: str, stand_in: StandInTriton
) -> None:
    proxy = await start_proxy(stand_in_url)
    arrived = f"00-{TRACE}-{PARENT}-01"

    body = {"model": "router", "messages": [{"role": "user", "content": HARD}]}
    answer = await proxy.post("/v1/chat/completions", body, mode="auto", traceparent=arrived)

    assert answer.body["received"]["headers"]["traceparent"] == arrived
    assert not any("traceparent" in metadata for metadata in stand_in.metadata)


def test_off_opentelemetry_is_not_even_imported() -> None:
    program = (
        "import sys; from router_proxy.app import create_app;"
        "from router_proxy.configuration.settings import read_settings;"
        "create_app(read_settings({}), {}); print([name for name in sys.modules if 'opentelemetry' in name])"
    )

    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout

    assert printed == "[]\n"
