"""A decision log through one policy or two: what moves, what it would cost, and what could not be replayed."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.logs.replay import Move, compare, replay
from local.logs.token_estimate import TokenEstimate
from router_proxy.record.log_parts import PlacedLine
from routing_policy.policy import Policy
from routing_policy.policy_file import parse_policy


def binary(threshold: float = 0.6, cutoff: float = 0.5) -> Policy:
    text = (
        "{reasoning_model: big, general_model: small, abstain_onprem_model: mid, "
        f"threshold_min_conf: {threshold}, reasoning_cutoff: {cutoff}}}"
    )
    return parse_policy(text.encode(), "policy.yaml")


def placed(lines: list[bytes]) -> list[PlacedLine]:
    return [(f"log:{number}", each) for number, each in enumerate(lines, start=1)]


def line(reasoning: float | None, target: str | None, usage: dict[str, Any] | None = None) -> bytes:
    scores = None if reasoning is None else {"reasoning": reasoning, "non-reasoning": 1 - reasoning}
    record = {"ts": 1.5, "outcome": "routed", "target": target, "scores": scores, "usage": usage, "text": "hello"}
    return msgspec.json.encode(record) + b"\n"


def used(prompt: int, completion: int) -> dict[str, Any]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def test_replay_compares_where_requests_went_with_where_the_policy_sends_them() -> None:
    log = [line(0.9, "big"), line(0.9, "big"), line(0.1, "small"), line(0.55, "big")]

    result = replay(placed(log), binary())

    assert (result.lines, result.replayed, result.moved, result.moved_share) == (4, 4, 1, 0.25)
    assert [(share.target, share.before, share.after) for share in result.targets] == [
        ("big", 3, 2),
        ("mid", 0, 1),
        ("small", 1, 1),
    ]
    assert result.moves == (Move(source="big", destination="mid", requests=1, share=0.25),)


def test_compare_shows_what_moves_between_two_policies_wherever_requests_went() -> None:
    log = [line(0.7, "elsewhere"), line(0.7, "elsewhere"), line(0.45, "elsewhere"), line(0.1, "elsewhere")]

    result = compare(placed(log), old=binary(0.6), new=binary(0.8))

    assert result.moves == (Move(source="big", destination="mid", requests=2, share=0.5),)
    assert [(share.target, share.before, share.after) for share in result.targets] == [
        ("mid", 1, 3),
        ("small", 1, 1),
        ("big", 2, 0),
    ]


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(b'{"outcome": "routed", "scores"\n', id="cut off"),
        pytest.param(b"not JSON\n", id="not JSON"),
        pytest.param(b"[]\n", id="not an object"),
        pytest.param(b"{}\n", id="no outcome"),
        pytest.param(b'{"outcome": "routed", "scores": {"reasoning": 3}}\n', id="score out of range"),
        pytest.param(b'{"outcome": "routed", "scores": {"reasoning": "x"}}\n', id="score not a number"),
        pytest.param(b'{"outcome": "\xff"}\n', id="not UTF-8"),
        pytest.param(b"[" * 100_000 + b"\n", id="absurd nesting"),
    ],
)
def test_a_malformed_line_is_named_and_stops_nothing(broken: bytes) -> None:
    result = replay(placed([line(0.9, "big"), broken, line(0.1, "small")]), binary())

    assert (result.lines, result.replayed, result.malformed) == (3, 2, ("log:2",))


def test_lines_without_scores_and_with_other_labels_are_counted_apart() -> None:
    other = msgspec.json.encode({"outcome": "routed", "target": "big", "scores": {"math": 0.9, "code": 0.1}})

    result = replay(placed([line(None, "big"), other, line(0.9, "big")]), binary())

    assert (result.lines, result.replayed, result.without_scores, result.other_labels) == (3, 1, 1, 1)


def test_an_empty_log_moves_nothing() -> None:
    result = replay([], binary())

    assert (result.lines, result.moved_share, result.targets, result.tokens) == (0, 0.0, (), ())


def test_a_moved_request_keeps_its_prompt_and_writes_what_its_new_target_writes_on_average() -> None:
    log = [
        line(0.9, "big", used(100, 1000)),
        line(0.7, "big", used(50, 500)),
        line(0.1, "mid", used(10, 20)),
        line(0.1, "mid", used(10, 40)),
    ]

    result = compare(placed(log), old=binary(0.6), new=binary(0.75))

    assert result.estimated == 2
    assert result.tokens == (
        TokenEstimate(target="big", prompt_before=150, prompt_after=100, completion_before=1500, completion_after=1000),
        TokenEstimate(target="mid", prompt_before=0, prompt_after=50, completion_before=0, completion_after=30),
    )


def test_requests_that_move_to_a_target_which_wrote_nothing_in_the_log_are_not_estimated() -> None:
    result = replay(placed([line(0.55, "big", used(100, 1000)), line(0.9, "big", used(7, 70))]), binary())

    assert (result.moved, result.estimated) == (1, 1)
    assert [estimate.target for estimate in result.tokens] == ["big"]


def test_what_a_shadow_request_wrote_counts_for_the_model_that_served_it() -> None:
    decided = {"outcome": "shadow", "target": "big", "served_by": "small", "usage": used(10, 40)}
    shadow = msgspec.json.encode(decided | {"scores": {"reasoning": 0.1, "non-reasoning": 0.9}})

    result = replay(placed([shadow, line(0.9, "big", used(10, 900))]), binary())

    assert result.tokens == (
        TokenEstimate(target="big", prompt_before=20, prompt_after=10, completion_before=1800, completion_after=900),
        TokenEstimate(target="small", prompt_before=0, prompt_after=10, completion_before=0, completion_after=40),
    )


@pytest.mark.parametrize(
    ("usage", "estimated"),
    [
        pytest.param({"prompt_tokens": 5, "completion_tokens": 7}, 1, id="known"),
        pytest.param(None, 0, id="unknown"),
    ],
)
def test_a_request_without_usage_is_not_estimated(usage: dict[str, Any] | None, estimated: int) -> None:
    assert replay(placed([line(0.9, "big", usage)]), binary()).estimated == estimated


logs = st.lists(st.builds(line, st.none() | st.floats(0, 1), st.sampled_from(["big", "small", "mid", None])))


@given(logs)
def test_every_line_is_accounted_for_and_no_request_is_lost_on_the_way(log: list[bytes]) -> None:
    result = compare(placed(log), binary(0.6), binary(0.7, cutoff=0.3))

    assert result.lines == len(log) == result.replayed + result.without_scores
    assert sum(share.before for share in result.targets) == result.replayed
    assert sum(share.after for share in result.targets) == result.replayed
    assert result.moved == sum(move.requests for move in result.moves)


@given(logs)
def test_a_policy_compared_with_itself_moves_nothing(log: list[bytes]) -> None:
    assert compare(placed(log), binary(), binary()).moved == 0
