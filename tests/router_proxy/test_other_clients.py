"""Clients as people use them: the official `anthropic` package and `langchain-openai`, against the running proxy."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.stand_ins.triton import StandInTriton

from .conftest import EASY, GENERAL, HARD, REASONING, Proxy

anthropic = pytest.importorskip("anthropic", reason="needs the package anthropic")
langchain_openai = pytest.importorskip("langchain_openai", reason="needs the package langchain-openai")

ROUTED = {"X-Dynamo-Routing": "auto"}


class TestAnthropic:
    @pytest.fixture
    async def client(self, proxy: Proxy) -> AsyncIterator[Any]:
        url = str(proxy.client.make_url(""))
        async with anthropic.AsyncAnthropic(base_url=url, api_key="x", default_headers=ROUTED, max_retries=0) as client:
            yield client

    async def test_a_message_is_routed(self, client: Any) -> None:
        answer = await client.messages.create(
            model="router", max_tokens=64, messages=[{"role": "user", "content": HARD}]
        )

        assert (answer.model, answer.content[0].text) == (REASONING, f"from {REASONING}")

    async def test_tokens_are_counted_by_the_upstream(self, client: Any) -> None:
        counted = await client.messages.count_tokens(model="router", messages=[{"role": "user", "content": EASY}])

        assert counted.input_tokens == 7

    async def test_a_tool_loop_is_judged_by_its_ask(self, client: Any, stand_in: StandInTriton) -> None:
        called = {"type": "tool_use", "id": "t1", "name": "ls", "input": {}}
        reminder = {"type": "text", "text": "<system-reminder>Calculate nothing.</system-reminder>"}
        result = {"type": "tool_result", "tool_use_id": "t1", "content": "a.py"}

        await client.messages.create(
            model="router",
            max_tokens=64,
            messages=[
                {"role": "user", "content": HARD},
                {"role": "assistant", "content": [called]},
                {"role": "user", "content": [result, reminder]},
            ],
            tools=[{"name": "ls", "input_schema": {"type": "object"}}],
        )

        assert stand_in.texts == [HARD]

    async def test_our_errors_are_its_errors(self, client: Any) -> None:
        with pytest.raises(anthropic.NotFoundError, match="gpt-9"):
            await client.messages.create(model="gpt-9", max_tokens=64, messages=[{"role": "user", "content": HARD}])


class TestLangChain:
    @pytest.fixture
    def model(self, proxy: Proxy) -> Any:
        return langchain_openai.ChatOpenAI(
            model="router", base_url=str(proxy.client.make_url("/v1")), api_key="x", default_headers=ROUTED
        )

    async def test_an_answer_is_routed(self, model: Any) -> None:
        answer = await model.ainvoke(HARD)

        assert answer.content == f"from {REASONING}"

    async def test_a_stream_is_routed(self, model: Any) -> None:
        words = [chunk.content async for chunk in model.astream(EASY)]

        assert "".join(words) == f"from {GENERAL}"

    async def test_a_tool_loop_is_judged_by_its_ask(self, model: Any, stand_in: StandInTriton) -> None:
        calls = [{"id": "c1", "name": "search", "args": {"q": "2"}, "type": "tool_call"}]

        await model.ainvoke(
            [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": HARD},
                {"role": "assistant", "content": "", "tool_calls": calls},
                {"role": "tool", "tool_call_id": "c1", "content": "42"},
            ]
        )

        assert stand_in.texts == [HARD]
