"""The guide's automated routing tests against a live stack: every answer must come from the model its headers name."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import msgspec

from routing_policy.names import ALIAS

REASONING_PROMPT = "Prove that the square root of 2 is irrational. Show each step."
GENERAL_PROMPT = "What is the capital of France?"
METRICS = ("semantic_route_decisions_total", "semantic_classifier_latency_ms_bucket")


class CheckResult(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    passed: bool
    detail: str


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    status: int
    model: str
    target: str  # empty when no decision was applied


class GuideCheck:
    """Asks one proxy; `url` is the proxy's, without /v1."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url

    async def results(self) -> AsyncIterator[CheckResult]:
        """Yield the result of each check as it is made."""
        reasoning = await self._ask("auto", ALIAS, REASONING_PROMPT)
        yield _routed("auto: a reasoning question goes to the model its decision names", reasoning)
        general = await self._ask("auto", ALIAS, GENERAL_PROMPT)
        yield _routed("auto: a general question goes to the model its decision names", general)
        yield _different(reasoning, general)
        for mode in ("off", "auto", "shadow"):
            answer = await self._ask(mode, general.model, REASONING_PROMPT)
            yield _served_by(f"{mode}: the requested model is honoured", answer, general.model)
        forced = await self._ask("force", general.model, REASONING_PROMPT)
        yield _served_by("force: the decision overrides the requested model", forced, reasoning.model)
        yield await self._metrics()

    async def _ask(self, mode: str, model: str, prompt: str) -> Answer:
        body = {"model": model, "messages": [{"role": "user", "content": prompt}], "max_tokens": 16}
        headers = {"X-Dynamo-Routing": mode}
        url = f"{self._url}/v1/chat/completions"
        async with self._session.post(url, json=body, headers=headers) as response:
            document: dict[str, Any] = await response.json(content_type=None)
            target = response.headers.get("x-semrouter-target", "")
            return Answer(status=response.status, model=str(document.get("model", "")), target=target)

    async def _metrics(self) -> CheckResult:
        async with self._session.get(f"{self._url}/metrics") as response:
            text = await response.text()
        missing = [name for name in METRICS if name not in text]
        detail = f"missing: {', '.join(missing)}" if missing else ", ".join(METRICS)
        return CheckResult(name="/metrics has the guide's two metrics", passed=not missing, detail=detail)


def _routed(name: str, answer: Answer) -> CheckResult:
    passed = answer.status == 200 and answer.target != "" and answer.model == answer.target  # noqa: PLR2004 - OK
    return CheckResult(name=name, passed=passed, detail=_describe(answer))


def _served_by(name: str, answer: Answer, expected: str) -> CheckResult:
    passed = answer.status == 200 and answer.model == expected  # noqa: PLR2004 - OK
    return CheckResult(name=name, passed=passed, detail=_describe(answer))


def _different(reasoning: Answer, general: Answer) -> CheckResult:
    return CheckResult(
        name="auto: the two questions go to different models",
        passed=reasoning.target != general.target,
        detail=f"{reasoning.target or 'none'} and {general.target or 'none'}",
    )


def _describe(answer: Answer) -> str:
    return f"HTTP {answer.status}, answered by {answer.model or 'nobody'}"
