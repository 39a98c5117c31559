"""Pages of other origins: none by default, those of SEMROUTER_CORS_ORIGINS where that names them."""

import pytest

from tests.router_proxy.conftest import GENERAL, Proxy, StartProxy

CHAT = "/v1/chat/completions"
PAGE = "https://page.test"
PREFLIGHT = {
    "Origin": PAGE,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type",
}


@pytest.mark.parametrize(
    ("origins", "allowed"),
    [(PAGE, PAGE), (f"https://other.test, {PAGE}", PAGE), ("*", "*"), ("https://other.test", None), ("", None)],
)
async def test_a_page_may_ask_where_its_origin_is_named(
    start_proxy: StartProxy, stand_in_url: str, origins: str, allowed: str | None
) -> None:
    keys = {"client_keys_env": ["KEY"]}
    proxy = await start_proxy(stand_in_url, keys, KEY="k", SEMROUTER_CORS_ORIGINS=origins)

    async with proxy.client.options(CHAT, headers=PREFLIGHT) as response:
        status, may_ask = response.status, response.headers.get("Access-Control-Allow-Origin")
        named = response.headers.get("Access-Control-Allow-Headers")
    answers = [await proxy.post(CHAT, {"model": GENERAL}, Origin=PAGE, **key) for key in ({"x_api_key": "k"}, {})]

    assert (status, may_ask, named) == ((204, allowed, "authorization,content-type") if allowed else (405, None, None))
    assert [answer.status for answer in answers] == [200, 401]
    assert [answer.headers.get("access-control-allow-origin") for answer in answers] == [allowed] * 2
    assert proxy.general.requests_begun == 1


async def test_whoever_is_no_page_gets_no_such_headers(start_proxy: StartProxy, stand_in_url: str) -> None:
    proxy = await start_proxy(stand_in_url, SEMROUTER_CORS_ORIGINS="*")

    answer = await proxy.post(CHAT, {"model": GENERAL})

    assert not [name for name in answer.headers if name.startswith("access-control-")]


async def test_a_request_of_a_page_is_that_of_anybody_else_at_the_upstream(proxy: Proxy) -> None:
    answer = await proxy.post(CHAT, {"model": GENERAL}, Origin=PAGE)

    assert not {"origin", "referer"} & answer.body["received"]["headers"].keys()
