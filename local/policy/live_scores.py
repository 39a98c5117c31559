"""A live classifier's scores for a text, asked of the proxy's POST /v1/route; nothing is forwarded to a model."""

from types import TracebackType
from typing import Any

import aiohttp

from local.errors import LiveScoresUnavailable

_BUDGET = {"X-Semrouter-Budget-Ms": "2000"}
_TIMEOUT = aiohttp.ClientTimeout(total=10)


class LiveScores:
    """Asks one proxy; `url` is the proxy's, with or without /v1; `key` is a client key where it wants one."""

    def __init__(self, url: str, key: str | None) -> None:
        self._url = url.rstrip("/").removesuffix("/v1") + "/v1/route"
        self._headers = _BUDGET if key is None else {**_BUDGET, "Authorization": f"Bearer {key}"}

    async def __aenter__(self) -> "LiveScores":
        self._session = aiohttp.ClientSession(headers=self._headers, timeout=_TIMEOUT)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def score(self, text: str) -> dict[str, float]:
        """Return the score of every label of the classifier in use."""
        answer = await self._ask(text)
        decision = answer.get("decision")
        if not isinstance(decision, dict) or not isinstance(decision.get("scores"), dict):
            raise LiveScoresUnavailable(f"{self._url}: no decision was taken: {_why(answer)}")
        return dict(decision["scores"])

    async def _ask(self, text: str) -> dict[str, Any]:
        try:
            async with self._session.post(self._url, json={"text": text}) as response:
                answer = await response.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError) as exc:
            raise LiveScoresUnavailable(
                f"{self._url}: expected a semantic router: {exc or type(exc).__name__}"
            ) from exc
        if not isinstance(answer, dict):
            raise LiveScoresUnavailable(f"{self._url}: expected a semantic router, got {answer!r}")
        return answer


def _why(answer: dict[str, Any]) -> Any:
    match answer:
        case {"outcome": outcome}:
            return outcome
        case {"error": {"message": message}}:
            return message
        case _:
            return answer
