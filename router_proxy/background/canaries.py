"""Is it still judging? Prompts with known answers, asked of Triton as any request is, every few seconds."""

import asyncio
import logging
from typing import Literal

import msgspec

from router_proxy.configuration.canaries_file import CanariesForm, CanaryForm, known_answers
from router_proxy.errors import ClassifierFailed
from router_proxy.record.metrics import Metrics
from router_proxy.routing.router_client import PROBE_TEXT, RouterClient
from routing_policy.decision import ClassifierRef, DecisionDocument

from .keep_going import note_failure

LOG = logging.getLogger("semrouter.canaries")


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """How one round went; `failure` says what was not right."""

    result: Literal["right", "wrong", "failed"]
    failure: str | None = None


class Canaries:
    """Asks a round, rests, asks again. `failure` is what the last round found wrong, None where nothing was.

    Each worker has its own: its channel to Triton may be the one that fails, and its cache learns from the answers.
    """

    def __init__(
        self,
        router: RouterClient,
        metrics: Metrics,
        form: CanariesForm,
        *,
        interval_seconds: float,
        limit_seconds: float,
    ) -> None:
        self._router = router
        self._metrics = metrics
        self._form = form
        self._interval_seconds = interval_seconds
        self._limit_seconds = limit_seconds
        self._judge: ClassifierRef | None = None
        self.failure: str | None = None
        self._worker = asyncio.create_task(self._work())

    @property
    def texts(self) -> list[str]:
        return self._form.texts

    def use(self, form: CanariesForm) -> None:
        """Ask other canaries from the next round on."""
        self._form, self._judge = form, None

    async def close(self) -> None:
        self._worker.cancel()
        await asyncio.wait({self._worker})

    async def check(self) -> None:
        """Ask one round, show its result and log what changed."""
        try:
            finished = await self._round()
        except ClassifierFailed as failure:
            finished = Round(result="failed", failure=str(failure))
        self._note(finished)

    def _note(self, finished: Round) -> None:
        if finished.failure and not self.failure:
            LOG.warning("the classifier is not healthy: %s", finished.failure)
        if self.failure and not finished.failure:
            LOG.warning("the classifier is healthy again")
        self.failure = finished.failure
        self._metrics.canaries_asked(finished.result)

    async def _work(self) -> None:
        while True:
            try:
                await self.check()
            # The edge of the process: a round that broke must not leave a healthy gauge behind.
            except Exception as exc:  # noqa: BLE001 - it is logged, counted and shown
                note_failure("canaries", exc, self._metrics)
                self._note(Round(result="failed", failure=type(exc).__name__))
            await asyncio.sleep(self._interval_seconds)

    async def _round(self) -> Round:
        """Find out who judges and with which labels, then ask what is known of that classifier."""
        first = await self._ask(PROBE_TEXT)
        known = known_answers(self._form, first.classifier)
        usable = {place: canary for place, canary in known.items() if canary.winner in first.scores}
        if first.classifier != self._judge:
            self._judge = first.classifier
            _introduce(first, known, usable)
        for place, canary in usable.items():
            decision = await self._ask(canary.text)
            if decision.classifier == first.classifier and decision.winner != canary.winner:
                return Round(
                    result="wrong",
                    failure=f"{place}: expected the winner {canary.winner!r}, got {decision.winner!r}",
                )
        return Round(result="right")

    async def _ask(self, text: str) -> DecisionDocument:
        return await self._router.judge(text.encode(), self._limit_seconds)


def _introduce(first: DecisionDocument, known: dict[str, CanaryForm], usable: dict[str, CanaryForm]) -> None:
    """Say which canaries a classifier that has not judged before is asked, and why not the others."""
    name = f"{first.classifier.name}/{first.classifier.version}/{first.classifier.revision}"
    if usable:
        LOG.info("%s judges and is asked %d canaries", name, len(usable))
    else:
        LOG.info("%s judges; canaries.yaml has none for it, so it is asked only whether it answers", name)
    for place in known.keys() - usable.keys():
        LOG.info("%s is left out: %r is none of the labels of %s", place, known[place].winner, name)
