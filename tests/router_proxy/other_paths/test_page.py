"""The page at /ui: on only when switched on, and what a person sees and does there in a real browser."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from routing_policy.decision import ClassifierRef
from routing_policy.policy import Policy
from routing_policy.policy_file import load_policy
from tests.chromium import Page, open_tab
from tests.router_proxy.conftest import GENERAL, HARD, POLICY, REASONING, Proxy, StartProxy
from tests.stand_ins.decisions import decision_document
from tests.stand_ins.triton import StandInTriton

RULES = Path(__file__).parents[3] / "configs" / "semantic-router.yaml"
CODER = "deepseek-ai/DeepSeekCoder-V2-Lite-Instruct"
MINUS = "\N{MINUS SIGN}"
PHONE, DESK = 390, 1100
DECIDED = "!document.getElementById('result').hidden"
REFUSED = "!document.getElementById('problem').hidden"


@pytest.fixture
async def page(chromium: str) -> AsyncIterator[Page]:
    async with open_tab(chromium) as page:
        yield page


@pytest.fixture
async def proxy(start_proxy: StartProxy, stand_in_url: str) -> Proxy:
    return await start_proxy(stand_in_url, SEMROUTER_UI="true")


def address(proxy: Proxy) -> str:
    return str(proxy.client.make_url("/ui"))


async def open_ready(page: Page, proxy: Proxy) -> None:
    """Open the page and wait until the prompt has the keyboard."""
    await page.open(address(proxy))
    await page.until("document.activeElement.id === 'prompt'")


async def ask(page: Page, proxy: Proxy, text: str, until: str = DECIDED) -> None:
    await open_ready(page, proxy)
    await page.type(text)
    await page.press("Enter")
    await page.until(until)


def rules_decision(policy: Policy, scores: dict[str, float], **fields: Any) -> bytes:
    """Return what Triton would answer under a rules policy."""
    read = {
        "classifier": ClassifierRef(name="topic_classifier", version=2, revision="5f87d3c14f25"),
        "tokens_seen": 256,
        "tokens_total": 2301,
        "truncated": True,
        "timings_us": {"tokenize": 412, "classify": 6120, "decide": 38},
    }
    return msgspec.json.encode(decision_document(policy, scores, **(read | fields)))


async def test_it_is_off_unless_switched_on(start_proxy: StartProxy, stand_in_url: str) -> None:
    proxy = await start_proxy(stand_in_url)

    assert (await proxy.client.get("/ui")).status == 404


async def test_it_names_nothing_to_fetch_and_may_fetch_nothing_elsewhere(proxy: Proxy) -> None:
    async with proxy.client.get("/ui") as response:
        html = await response.text()

    assert (response.status, response.content_type, response.headers["Cache-Control"]) == (200, "text/html", "no-store")
    assert not re.search(r"(?:https?:)?//[\w.]|\bsrc=|href=\"(?!data:,\")|@import|url\(|\son\w+=", html)
    assert re.fullmatch(
        r"default-src 'none'; script-src 'sha256-[\w+/]{43}='; style-src 'sha256-[\w+/]{43}='; connect-src 'self'; "
        r"img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        r"require-trusted-types-for 'script'",
        response.headers["Content-Security-Policy"],
    )


async def test_a_binary_decision_is_shown_with_its_scores_and_what_would_flip_it(page: Page, proxy: Proxy) -> None:
    await ask(page, proxy, HARD)

    assert await page.text("#verdict") == f"{REASONING}\nRationale\nreasoning\nWinner\nreasoning\nConfidence\n0.9"
    assert await bars(page) == {"reasoning": ("90%", "0.9000"), "non-reasoning": ("10%", "0.1000")}
    assert "score of reasoning 0.9 ≥ 0.5\n$.reasoning_cutoff\n+0.4" in await page.text("#checks")
    assert f"reasoning below 0.6, now 0.9\n{MINUS}0.3\n→ {GENERAL}, abstain_low_confidence" in await page.text("#flips")
    assert await facts(page) == {
        "Outcome": "routed",
        "Tokens": "none counted: this classifier reads text",
        "Cache": "miss",
        "Policy": load_policy(POLICY).revision,
        "Classifier": "keyword version 1, keyword",
    }
    assert page.complaints == []


async def test_a_rules_decision_is_shown_with_every_clause(
    page: Page, start_proxy: StartProxy, stand_in: StandInTriton, stand_in_url: str
) -> None:
    policy = load_policy(RULES)
    coder = {"upstreams": {CODER: {"endpoints": ["http://127.0.0.1:9"]}}}
    proxy = await start_proxy(stand_in_url, coder, SEMROUTER_UI="true", SEMROUTER_CONFIG=str(RULES))
    stand_in.answer = rules_decision(policy, {"math": 0.5612, "code": 0.0911, "reasoning": 0.3103, "general": 0.0374})

    await ask(page, proxy, HARD)

    assert "fired: math 0.5612 x weight 60 = 33.672, the only label that matched" in await page.text("#verdict")
    assert (await page.text("#rules")).splitlines()[:10] == [
        f"reasoning → {REASONING} (fired)",
        "✗",
        "reasoning 0.3103 < 0.55",
        "$.rules[0].when_any[0]",
        f"{MINUS}0.2397",
        "✓",
        "math 0.5612 ≥ 0.55, x weight 60 = 33.672, the highest",
        "$.rules[0].when_any[1]",
        "+0.0112",
        f"code → {CODER}",
    ]
    assert f"math below 0.55, now 0.5612\n{MINUS}0.0112\n→ {GENERAL}, abstain_no_rule" in await page.text("#flips")
    assert (await facts(page))["Tokens"] == "256 seen of 2,301; the middle was left out"


async def test_a_failing_router_is_shown_as_what_happens_to_the_request(
    page: Page, start_proxy: StartProxy, gone_url: str
) -> None:
    proxy = await start_proxy(gone_url.removeprefix("http://"), SEMROUTER_UI="true")

    await ask(page, proxy, HARD)

    assert await page.text("#verdict .target") == GENERAL
    assert "failopen_error" in await page.text("#verdict")
    await page.until("document.getElementById('state').innerText === 'triton degraded, routing on'")


async def test_a_target_that_cannot_take_the_request_is_named_with_the_one_that_does(
    page: Page, start_proxy: StartProxy, stand_in_url: str
) -> None:
    small = {"upstreams": {REASONING: {"max_model_len": 5}}}
    proxy = await start_proxy(stand_in_url, small, SEMROUTER_UI="true")

    await ask(page, proxy, HARD)

    assert await page.text("#verdict .target") == REASONING
    assert f"it would go to {GENERAL}." in await page.text("#verdict")
    assert f"{REASONING} lacks context" in await page.text("#details")


async def test_a_target_that_is_full_is_said_to_be(page: Page, start_proxy: StartProxy, stand_in_url: str) -> None:
    capped = {"upstreams": {REASONING: {"max_in_flight": 1}}}
    proxy = await start_proxy(stand_in_url, capped, SEMROUTER_UI="true")
    proxy.reasoning.held.clear()

    async with proxy.client.post("/v1/chat/completions", json={"model": REASONING, "stream": True}):
        await ask(page, proxy, HARD)
        proxy.reasoning.held.set()

    assert f"is at its max_in_flight; it would go to {GENERAL}." in await page.text("#verdict")


async def test_a_text_that_comes_again_is_a_cache_hit(page: Page, proxy: Proxy) -> None:
    await proxy.post("/v1/route", {"text": HARD})

    await ask(page, proxy, HARD)

    assert (await facts(page))["Cache"] == "hit"


async def test_what_the_router_answers_is_shown_as_text_whatever_it_holds(
    page: Page, proxy: Proxy, stand_in: StandInTriton
) -> None:
    label = "<img src=x onerror=alert(1)>"
    decision = stand_in.decision(HARD)
    stand_in.answer = msgspec.json.encode(msgspec.structs.replace(decision, policy="another", scores={label: 0.9}))

    await ask(page, proxy, HARD)

    assert list(await bars(page)) == [label]
    assert "Policy another decided; this proxy holds" in await page.text("#details")
    assert await page.evaluate("document.images.length") == 0


async def test_an_error_is_shown_in_the_words_of_the_api(page: Page, start_proxy: StartProxy, gone_url: str) -> None:
    proxy = await start_proxy(gone_url, SEMROUTER_UI="true", SEMROUTER_ENABLED="false")

    await ask(page, proxy, HARD, until=REFUSED)

    said = await page.text("#problem")
    assert said.startswith("Routing is off: SEMROUTER_ENABLED is not set on this server.")
    assert "HTTP 404 routing_disabled, request " in said
    assert await page.evaluate("document.getElementById('result').hidden")


async def test_everything_works_from_the_keyboard(page: Page, proxy: Proxy) -> None:
    await open_ready(page, proxy)

    await page.type("Prove it.")
    await page.press("Enter", shift=True)
    await page.type("Show each step.")
    await page.press("Enter", control=True)
    await page.until(DECIDED)
    typed = await page.evaluate("document.getElementById('prompt').value")
    await page.press("Tab")
    button = await page.focused()
    await page.evaluate("document.getElementById('result').hidden = true")
    await page.press("Enter")
    await page.until(DECIDED)

    assert (typed, button) == ("Prove it.\nShow each step.", "Decide")


async def test_a_screen_reader_finds_the_names_and_hears_the_decision(page: Page, proxy: Proxy) -> None:
    await ask(page, proxy, HARD)

    tree = (await page.call("Accessibility.getFullAXTree"))["nodes"]
    named = {(node["role"]["value"], node.get("name", {}).get("value")) for node in tree if not node["ignored"]}
    assert {("textbox", "Prompt"), ("button", "Decide"), ("region", "Decision"), ("image", "reached")} <= named
    said = await page.evaluate("document.querySelector('#said[aria-live=polite]').textContent")
    assert said == f"Goes to {REASONING}: reasoning, confidence 0.9."


async def test_a_client_key_is_asked_for_when_needed_and_forgotten_with_the_page(
    page: Page, start_proxy: StartProxy, stand_in_url: str
) -> None:
    keys = {"client_keys_env": ["TEAM_KEY"]}
    proxy = await start_proxy(stand_in_url, keys, SEMROUTER_UI="true", TEAM_KEY="letmein")
    await ask(page, proxy, HARD, until=REFUSED)
    refused, focused = await page.text("#problem"), await page.focused()

    await page.type("letmein")
    await page.press("Enter")
    await page.until(DECIDED)
    await page.reload()

    assert refused.startswith("Authorization: expected one of this server's client keys.")
    assert focused == "key"
    assert await page.evaluate("document.getElementById('key-row').hidden && !document.getElementById('key').value")


async def test_it_keeps_no_prompt_and_asks_only_its_own_server(page: Page, proxy: Proxy) -> None:
    await ask(page, proxy, HARD)

    stored = "[localStorage.length, sessionStorage.length, document.cookie, location.href, history.length]"
    before = await page.evaluate("history.length")
    assert await page.evaluate(stored) == [0, 0, "", address(proxy), before]
    assert await page.evaluate("indexedDB.databases().then(found => found.length)") == 0
    own = str(proxy.client.make_url("/"))
    assert {url.removeprefix(own) for url in page.requested} == {
        "ui",
        "metrics",
        "health/ready",
        "v1/route?explain=1",
    }
    assert page.complaints == []


async def test_the_browser_refuses_it_any_other_server(page: Page, proxy: Proxy) -> None:
    await open_ready(page, proxy)

    outside = await page.evaluate(f"fetch('{proxy.urls[GENERAL]}/v1/models').then(() => 'answered', () => 'refused')")

    assert outside == "refused"
    assert any("connect-src 'self'" in complaint for complaint in page.complaints)


async def test_counters_and_upstreams_follow_what_happens(page: Page, proxy: Proxy) -> None:
    await open_ready(page, proxy)
    await page.until("document.getElementById('outcomes').innerText.startsWith('No request on a routed path yet')")

    await proxy.chat(HARD)
    proxy.reasoning.refusal = (500, "broken")
    proxy.gateway.upstreams.serving(REASONING).endpoints[0].is_down = True

    await page.until("document.querySelector('#outcomes tbody')?.innerText === 'routed\\t1'")
    await page.until(f"document.querySelector('#upstreams tbody').innerText.includes('{REASONING}\\tdown')")
    assert f"{GENERAL}\tup" in await page.text("#upstreams")


@pytest.mark.parametrize(
    ("width", "scheme", "background"),
    [
        pytest.param(PHONE, "light", "rgb(251, 251, 250)", id="phone"),
        pytest.param(PHONE, "dark", "rgb(20, 22, 26)", id="phone at night"),
        pytest.param(DESK, "light", "rgb(251, 251, 250)", id="desk"),
    ],
)
async def test_it_fits_the_screen(
    page: Page, proxy: Proxy, tmp_path: Path, width: int, scheme: str, background: str
) -> None:
    await page.look_like(width=width, scheme=scheme)

    await ask(page, proxy, HARD)
    await page.until("document.querySelector('#upstreams table')")
    await page.picture(tmp_path / "page.png")

    # Not innerWidth: a phone zooms out from a page that is too wide.
    assert await page.evaluate("document.documentElement.scrollWidth") <= width
    assert await page.evaluate("getComputedStyle(document.body).backgroundColor") == background
    assert (tmp_path / "page.png").stat().st_size > 10_000


async def bars(page: Page) -> dict[str, tuple[str, str]]:
    """Return the width of each label's bar and the number beside it."""
    rows = await page.evaluate(
        "Array.from(document.querySelectorAll('.bars tr'), row =>"
        " [row.cells[0].innerText, row.querySelector('.fill').style.width, row.cells[2].innerText])"
    )
    return {label: (width, number) for label, width, number in rows}


async def facts(page: Page) -> dict[str, str]:
    """Return what is said about how the text was read, but for the timings."""
    lines = await page.evaluate(
        "Array.from(document.querySelectorAll('#details dt'), term => [term.innerText, term.nextSibling.innerText])"
    )
    return {name: value for name, value in lines if name != "Timings"}
