"""The mode table of the guide, row by row, on the stand-in and on the real Triton."""

import pytest

from local.stack.triton_server import TritonServer
from tests.router_proxy.conftest import EASY, GENERAL, HARD, REASONING, Proxy, StartProxy


class ModeTable:
    """What each mode does; subclasses say which Triton is asked."""

    @pytest.mark.parametrize("model", ["router", "", None])
    async def test_auto_routes_what_leaves_the_choice_to_the_router(self, proxy: Proxy, model: str | None) -> None:
        hard = await proxy.chat(HARD, model=model)
        easy = await proxy.chat(EASY, model=model)

        assert (hard.body["model"], hard.outcome) == (REASONING, "routed")
        assert (easy.body["model"], easy.outcome) == (GENERAL, "routed")

    async def test_auto_honours_an_explicit_model_and_takes_no_decision(self, proxy: Proxy) -> None:
        answer = await proxy.chat(HARD, model=GENERAL)

        assert (answer.body["model"], answer.outcome) == (GENERAL, "explicit")
        assert "x-semrouter-target" not in answer.headers
        assert await proxy.metric("semantic_route_decisions_total") == 0

    async def test_force_routes_whatever_was_asked(self, proxy: Proxy) -> None:
        answer = await proxy.chat(HARD, model=GENERAL, mode="force")

        assert (answer.body["model"], answer.outcome) == (REASONING, "routed")

    async def test_off_forwards_as_asked(self, proxy: Proxy) -> None:
        answer = await proxy.chat(HARD, model=GENERAL, mode="off")

        assert (answer.body["model"], answer.outcome) == (GENERAL, "off")

    async def test_off_is_the_default(self, proxy: Proxy) -> None:
        answer = await proxy.chat(HARD, model=GENERAL, mode=None)

        assert (answer.headers["x-semrouter-mode"], answer.outcome) == ("off", "off")

    async def test_shadow_honours_the_request_and_counts_the_decision(self, proxy: Proxy) -> None:
        answer = await proxy.chat(HARD, model=GENERAL, mode="shadow")
        await proxy.shadow_drained()

        assert (answer.body["model"], answer.outcome) == (GENERAL, "shadow")
        counted = {"route": "shadow", "target": REASONING, "rationale": "reasoning", "winner": "reasoning"}
        assert await proxy.metric("semantic_route_decisions_total", **counted, transport="http") == 1
        assert await proxy.metric("semrouter_shadow_total", result="differ") == 1

    async def test_shadow_sends_the_alias_to_the_abstain_target(self, proxy: Proxy) -> None:
        answer = await proxy.chat(HARD, model="router", mode="shadow")

        assert (answer.body["model"], answer.outcome) == (GENERAL, "shadow")

    async def test_a_decision_is_told_in_headers_and_counted_once(self, proxy: Proxy) -> None:
        answer = await proxy.chat(HARD)

        assert answer.headers["x-semrouter-mode"] == "auto"
        assert answer.headers["x-semrouter-target"] == REASONING
        assert answer.headers["x-semrouter-rationale"] == "reasoning"
        assert answer.headers["x-semrouter-winner"] == "reasoning"
        assert 0.6 <= float(answer.headers["x-semrouter-confidence"]) <= 1
        assert len(answer.headers["x-semrouter-policy"]) == 12
        counted = {"route": "enforce", "target": REASONING, "rationale": "reasoning", "winner": "reasoning"}
        assert await proxy.metric("semantic_route_decisions_total", **counted, transport="http") == 1
        assert await proxy.metric("semantic_classifier_latency_ms_count", transport="http") == 1
        assert await proxy.metric("semantic_classifier_latency_ms_bucket", transport="http", le="2500.0") == 1


class TestOnTheStandIn(ModeTable):
    @pytest.fixture
    async def proxy(self, start_proxy: StartProxy, stand_in_url: str) -> Proxy:
        return await start_proxy(stand_in_url)


class TestOnRealTriton(ModeTable):
    @pytest.fixture
    async def proxy(self, start_proxy: StartProxy, real_triton: TritonServer) -> Proxy:
        return await start_proxy(f"127.0.0.1:{real_triton.ports.grpc}")
