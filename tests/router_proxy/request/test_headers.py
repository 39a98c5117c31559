"""Which headers cross the proxy."""

import pytest
from multidict import CIMultiDict

from router_proxy.request.headers import forwarded_request_headers, forwarded_response_headers, header_text, request_id

ACCEPTED = {"Accept": "text/event-stream"}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("Connection", id="RFC 9110 connection"),
        pytest.param("Keep-Alive", id="keep-alive"),
        pytest.param("TE", id="te"),
        pytest.param("Transfer-Encoding", id="transfer-encoding"),
        pytest.param("Upgrade", id="upgrade"),
        pytest.param("Host", id="host of this proxy"),
        pytest.param("Content-Length", id="length of the old body"),
        pytest.param("Content-Encoding", id="encoding taken off on arrival"),
        pytest.param("X-Dynamo-Routing", id="our mode header"),
        pytest.param("x-semrouter-target", id="a forged decision"),
        pytest.param("X-Semrouter-Budget-Ms", id="our budget"),
        *("Authorization", "x-api-key", "api-key", "Cookie", "Proxy-Authorization", "X-Goog-Api-Key", "X-Auth-Token"),
        *("X-Amz-Security-Token", "Ocp-Apim-Subscription-Key", "X-Forwarded-Access-Token", "X-Forwarded-User"),
        *("Forwarded", "X-Real-IP", "X-Forwarded-For", "Origin", "Referer", "X-Whatever"),
    ],
)
def test_a_request_header_that_stays_here(name: str) -> None:
    assert forwarded_request_headers(CIMultiDict({name: "value", **ACCEPTED})) == ACCEPTED


@pytest.mark.parametrize(
    "name",
    [
        *("Accept", "accept-encoding", "Accept-Language", "User-Agent", "traceparent", "tracestate", "baggage"),
        *("Idempotency-Key", "anthropic-version", "Anthropic-Beta", "OpenAI-Organization", "openai-beta"),
        *("X-Stainless-Lang", "X-data-parallel-rank"),
    ],
)
def test_a_request_header_that_goes_on(name: str) -> None:
    assert forwarded_request_headers(CIMultiDict({name: "value"})) == {name: "value"}


def test_an_upstream_may_get_more() -> None:
    arrived = CIMultiDict({"X-Tenant": "a", "X-Other": "b"})

    assert forwarded_request_headers(arrived, also=frozenset({"x-tenant"})) == {"X-Tenant": "a"}


def test_headers_named_in_connection_stay_here() -> None:
    arrived = CIMultiDict([("Connection", "close, User-Agent"), ("Connection", "x-tenant"), ("user-agent", "1")])
    arrived.add("X-Tenant", "2")
    arrived.add("Accept", "3")

    assert forwarded_request_headers(arrived, also=frozenset({"x-tenant"})) == {"Accept": "3"}


@pytest.mark.parametrize(
    ("arrived", "kept"),
    [
        ({"Authorization": "Bearer theirs", "Cookie": "c", "x-api-key": "k"}, {"Authorization": "Bearer theirs"}),
        ({"x-api-key": "theirs", "api-key": "k"}, {"Authorization": "Bearer theirs"}),
        ({"Cookie": "c"}, {}),
    ],
)
def test_of_credentials_only_authorization_crosses_when_passed_through(
    arrived: dict[str, str], kept: dict[str, str]
) -> None:
    assert forwarded_request_headers(CIMultiDict(arrived), keep_authorization=True) == kept


@pytest.mark.parametrize(
    "name",
    [
        *("x-semrouter-target", "Connection", "Transfer-Encoding", "Location", "Content-Location", "Link", "Refresh"),
        *("Set-Cookie", "Alt-Svc", "Access-Control-Allow-Origin", "Strict-Transport-Security", "x-request-id"),
    ],
)
def test_an_answers_header_that_stays_here(name: str) -> None:
    arrived = CIMultiDict({name: "value", "Content-Type": "text/event-stream"})

    assert forwarded_response_headers(arrived) == {"Content-Type": "text/event-stream"}


def test_repeated_headers_all_cross() -> None:
    arrived = CIMultiDict([("Vary", "a"), ("Vary", "b")])

    assert forwarded_response_headers(arrived).getall("Vary") == ["a", "b"]


def test_a_short_printable_request_id_is_accepted() -> None:
    assert request_id("trace-7") == "trace-7"


@pytest.mark.parametrize("arrived", [None, "", "with space", "x" * 129, "ünï"])
def test_any_other_request_id_is_replaced(arrived: str | None) -> None:
    assert len(request_id(arrived)) == 32


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("deepseek-ai/R1 8B", "deepseek-ai/R1 8B"),
        ("数学", "%E6%95%B0%E5%AD%A6"),
        ("a\r\nb", "a%0D%0Ab"),
        ("50%", "50%25"),
    ],
)
def test_a_value_is_made_safe_for_a_header(value: str, text: str) -> None:
    assert header_text(value) == text
