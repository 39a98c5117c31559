"""Which headers cross the proxy."""

import pytest
from multidict import CIMultiDict

from router_proxy.request.headers import forwarded_request_headers, forwarded_response_headers, header_text, request_id


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("Connection", id="RFC 9110 connection"),
        pytest.param("Keep-Alive", id="keep-alive"),
        pytest.param("TE", id="te"),
        pytest.param("Transfer-Encoding", id="transfer-encoding"),
        pytest.param("Upgrade", id="upgrade"),
        pytest.param("Proxy-Authorization", id="proxy credentials"),
        pytest.param("Host", id="host of this proxy"),
        pytest.param("Content-Length", id="length of the old body"),
        pytest.param("Content-Encoding", id="encoding taken off on arrival"),
        pytest.param("X-Dynamo-Routing", id="our mode header"),
        pytest.param("x-semrouter-target", id="a forged decision"),
        pytest.param("X-Semrouter-Budget-Ms", id="our budget"),
        pytest.param("Authorization", id="the client's key"),
        pytest.param("x-api-key", id="the client's Anthropic key"),
        pytest.param("Cookie", id="the client's cookies"),
    ],
)
def test_a_request_header_that_stays_here(name: str) -> None:
    arrived = CIMultiDict({name: "value", "Accept": "text/event-stream"})

    assert forwarded_request_headers(arrived, keep_credentials=False) == {"Accept": "text/event-stream"}


def test_headers_named_in_connection_stay_here() -> None:
    arrived = CIMultiDict([("Connection", "close, X-Secret"), ("Connection", "x-other"), ("x-secret", "1")])
    arrived.add("X-Other", "2")
    arrived.add("X-Kept", "3")

    assert forwarded_request_headers(arrived, keep_credentials=False) == {"X-Kept": "3"}


def test_credentials_cross_only_when_passed_through() -> None:
    arrived = CIMultiDict({"Authorization": "Bearer theirs"})

    assert forwarded_request_headers(arrived, keep_credentials=True) == {"Authorization": "Bearer theirs"}


def test_an_upstream_cannot_speak_for_the_router() -> None:
    arrived = CIMultiDict({"x-semrouter-target": "forged", "Content-Type": "text/event-stream", "Connection": "close"})

    assert forwarded_response_headers(arrived) == {"Content-Type": "text/event-stream"}


def test_repeated_headers_all_cross() -> None:
    arrived = CIMultiDict([("Set-Cookie", "a"), ("Set-Cookie", "b")])

    assert forwarded_response_headers(arrived).getall("Set-Cookie") == ["a", "b"]


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
