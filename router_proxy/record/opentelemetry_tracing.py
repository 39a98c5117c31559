"""Spans by OpenTelemetry, sent as OTLP over HTTP; the standard OTEL_* variables say where to and how many.

Attributes have the names of https://opentelemetry.io/docs/specs/semconv/ (HTTP, and GenAI for the upstream) where it
has one, and begin with `semrouter.` where it has none. Exceptions are recorded by type: a message may quote a request.
"""

from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web
from opentelemetry import propagate
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, StatusCode

from router_proxy.upstreams.placement import Choice
from router_proxy.upstreams.upstreams import Endpoint

from .exchange import EXCHANGE, REQUEST_ID, Exchange
from .tracing import Answered

_OWN_NAME = "semrouter-proxy"
_OPERATIONS = {
    "chat": "chat",
    "responses": "chat",
    "messages": "chat",
    "completions": "text_completion",
}
_GOOD = frozenset({"2xx", "3xx"})


class OpenTelemetryTracing:
    """One per process; spans are sent by a thread of its own, and dropped when there are more than it can send."""

    def __init__(self) -> None:
        self._provider = TracerProvider(resource=_resource(), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("semrouter")

    @contextmanager
    def serving(self, request: web.Request) -> Iterator[Answered]:
        resource = request.match_info.route.resource
        route = resource.canonical if resource else ""
        with self._span(
            f"{request.method} {route}".rstrip(), SpanKind.SERVER, propagate.extract(request.headers)
        ) as span:
            _set(span, {"http.request.method": request.method, "url.path": request.path, "http.route": route or None})
            _set(span, {"url.scheme": request.scheme, "server.address": request.host})

            def answered(status: int) -> None:
                span.set_attribute("http.response.status_code", status)
                if status >= web.HTTPInternalServerError.status_code:
                    _fail(span, str(status))

            try:
                yield answered
            finally:
                _set(span, {"semrouter.request_id": request.get(REQUEST_ID)} | _routing(request.get(EXCHANGE)))

    @contextmanager
    def deciding(self, exchange: Exchange) -> Iterator[None]:
        with self._span("route", SpanKind.INTERNAL) as span:
            try:
                yield
            finally:
                _set(span, _routing(exchange) | _decision(exchange))
                if exchange.outcome.startswith("failopen"):
                    _fail(span, exchange.outcome)

    @contextmanager
    def asking(self, choice: Choice, endpoint: Endpoint, exchange: Exchange) -> Iterator[None]:
        operation = _OPERATIONS.get(exchange.surface)
        model = choice.target.model if choice.target else choice.upstream.name
        where = urlsplit(endpoint.url)
        with self._span(f"{operation or exchange.surface} {model}", SpanKind.CLIENT) as span:
            _set(span, {"gen_ai.operation.name": operation, "gen_ai.request.model": model})
            _set(span, {"gen_ai.provider.name": "anthropic" if exchange.surface == "messages" else "openai"})
            _set(span, {"server.address": where.hostname, "server.port": where.port})
            try:
                yield
            finally:
                _note_answer(span, exchange)

    def carry(self, headers: MutableMapping[str, str]) -> None:
        propagate.inject(headers)

    def close(self) -> None:
        self._provider.shutdown()

    @contextmanager
    def _span(self, name: str, kind: SpanKind, context: Context | None = None) -> Iterator[Span]:
        """Make a span the current one."""
        with self._tracer.start_as_current_span(
            name, context, kind, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield span
            except BaseException as exc:  # cancelled by the client, too
                _fail(span, type(exc).__name__)
                raise


def _resource() -> Resource:
    """Return what OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say, under our own name if they give none."""
    resource = Resource.create()
    if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):
        return resource.merge(Resource({SERVICE_NAME: _OWN_NAME}))
    return resource


def _routing(exchange: Exchange | None) -> dict[str, Any]:
    if exchange is None:
        return {}
    return {
        "semrouter.surface": exchange.surface,
        "semrouter.mode": exchange.mode,
        "semrouter.outcome": exchange.outcome,
        "semrouter.target": exchange.target,
        "semrouter.upstream": exchange.served_by,
    }


def _decision(exchange: Exchange) -> dict[str, Any]:
    decision = exchange.decision
    if decision is None:
        return {}
    return {
        "semrouter.rationale": decision.rationale,
        "semrouter.winner": decision.winner,
        "semrouter.confidence": decision.confidence,
        "semrouter.policy": decision.policy,
        "semrouter.classifier": f"{decision.classifier.name}/{decision.classifier.version}",
        "semrouter.classifier.revision": decision.classifier.revision,
        "semrouter.cache": "hit" if exchange.cached else "miss",
        "semrouter.tokens_seen": decision.tokens_seen,
    }


def _note_answer(span: Span, exchange: Exchange) -> None:
    upstream, result = exchange.attempts[-1] if exchange.attempts else (None, "cancelled")
    _set(span, {"semrouter.upstream": upstream})
    if exchange.answered_at is not None:
        _set(span, {"http.response.status_code": exchange.status})
    if usage := exchange.usage:
        counts = {"input": usage.prompt_tokens, "output": usage.completion_tokens}
        _set(span, {f"gen_ai.usage.{kind}_tokens": count for kind, count in counts.items()})
    if result not in _GOOD:
        _fail(span, result)


def _set(span: Span, attributes: Mapping[str, Any]) -> None:
    span.set_attributes({name: value for name, value in attributes.items() if value is not None})


def _fail(span: Span, error_type: str) -> None:
    span.set_attribute("error.type", error_type)
    span.set_status(StatusCode.ERROR)
