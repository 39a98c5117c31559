import asyncio

import pytest
from aiohttp import web

from export.labelling.judge import Judge, Verdicts, instruction, judge_texts, read_answer
from tests.conftest import CHECKOUT

from .judges import Answer, JudgeServer, running_judge

LABELS = ["non-reasoning", "reasoning"]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param("reasoning", "reasoning", id="label"),
        pytest.param(" **Non-Reasoning**.\n", "non-reasoning", id="decorated"),
        pytest.param("<think>reasoning? no</think>\n\nnon-reasoning", "non-reasoning", id="thought first"),
        pytest.param("It is reasoning", None, id="sentence"),
        pytest.param("reasoning or non-reasoning", None, id="both"),
        pytest.param("", None, id="nothing"),
    ],
)
def test_an_answer_is_one_of_the_labels_or_nothing(answer: str, expected: str | None) -> None:
    assert read_answer(answer, LABELS) == expected


def test_a_label_without_a_meaning_is_given_by_name() -> None:
    assert "\n- billing: money\n- other\n" in instruction(["billing", "other"], {"billing": "money"})


def ask(answer: Answer, texts: list[str], in_flight: int = 8) -> tuple[Verdicts, JudgeServer]:
    with running_judge(answer) as server:
        judge = Judge(url=server.url, model="big", pause_seconds=0, in_flight=in_flight)
        return asyncio.run(judge_texts(judge, texts, LABELS, "sort", report=print)), server


def test_answers_come_back_in_the_order_of_the_texts() -> None:
    texts = [f"{label} {number}" for number in range(50) for label in LABELS]

    verdicts, server = ask(lambda prompt: prompt.split()[0], texts)

    assert verdicts.labels == LABELS * 50
    assert len(server.bodies) == 100


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_judge_is_asked_again(status: int) -> None:
    seen: set[str] = set()

    def answer(prompt: str) -> str | web.Response:
        if prompt in seen:
            return "reasoning"
        seen.add(prompt)
        return web.Response(status=status, headers={"Retry-After": "0"})

    verdicts, server = ask(answer, ["one", "two"])

    assert verdicts.labels == ["reasoning", "reasoning"]
    assert len(server.bodies) == 4


def test_a_prompt_the_server_refuses_stays_unlabelled_and_the_others_do_not() -> None:
    verdicts, _ = ask(lambda prompt: web.Response(status=400) if prompt == "long" else "reasoning", ["long", "short"])

    assert verdicts == Verdicts(labels=[None, "reasoning"], stopped=None)


def test_a_judge_that_fails_four_times_is_left_alone() -> None:
    verdicts, server = ask(lambda _: web.Response(status=502), ["one", "two", "three"], in_flight=1)

    assert verdicts.labels == [None, None, None]
    assert str(verdicts.stopped) == f"judge {server.url}: status 502, 4 times in a row"
    assert len(server.bodies) == 4


def test_the_document_prints_what_the_judge_is_asked() -> None:
    document = (CHECKOUT / "docs" / "recipe.md").read_text(encoding="utf-8")

    assert instruction(LABELS) in document
