"""A decision log as one page: its sums, what it says to a person, and what it does with a log that is not whole."""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from local.cli import main
from local.logs.report import Period, Report, summarise
from tests.chromium import open_tab

START = 1_795_000_020  # 2026-11-18 11:07 UTC, a whole minute
SCORES = {"reasoning": 0.9, "non-reasoning": 0.1}


def line(outcome: str, seconds: float = 0, **fields: Any) -> bytes:
    """Write the line of a request that was decided on and sent to the model `big` unless `fields` say otherwise."""
    decided = {"target": "big", "served_by": "big", "rationale": "reasoning", "winner": "reasoning", "confidence": 0.9}
    judged = {"scores": SCORES, "policy": "p1", "classifier": {"name": "c", "version": 1, "revision": "r1"}}
    record = {"ts": START + seconds, "mode": "auto", "outcome": outcome, **decided, **judged, **fields}
    return msgspec.json.encode(record)


def undecided(outcome: str, seconds: float = 0, **fields: Any) -> bytes:
    nothing = dict.fromkeys(("rationale", "winner", "confidence", "scores", "policy", "classifier"))
    return line(outcome, seconds, **nothing | fields)


def used(prompt: int, completion: int) -> dict[str, Any]:
    return {"usage": {"prompt_tokens": prompt, "completion_tokens": completion}}


def summed(*lines: bytes) -> Report:
    return summarise((f"log:{number}", each) for number, each in enumerate(lines, start=1))


def report(*arguments: object, given: bytes | None = None) -> Result:
    return CliRunner().invoke(main, ["report", *map(str, arguments)], input=given)


class TestSums:
    def test_requests_are_counted_by_who_answered_how_they_ended_and_mode(self) -> None:
        result = summed(
            line("routed"),
            line("routed", served_by=None),
            undecided("explicit", target="small", served_by="small"),
            undecided("off", mode="off", target="small", served_by="small"),
        )

        assert result.answered == {
            ("big", "auto"): 1,
            ("(nobody)", "auto"): 1,
            ("small", "auto"): 1,
            ("small", "off"): 1,
        }
        assert result.outcomes == {("routed", "auto"): 2, ("explicit", "auto"): 1, ("off", "off"): 1}

    def test_decisions_in_force_and_in_shadow_are_kept_apart(self) -> None:
        result = summed(
            line("routed"),
            line("abstained", target="mid", rationale="abstain_low_confidence"),
            line("shadow", mode="shadow", target="big", served_by="small"),
            line("shadow", mode="shadow", target="small", served_by="small"),
            undecided("shadow", mode="shadow", target=None, served_by="small"),
        )

        assert result.decided == {("big", "reasoning"): 1, ("mid", "abstain_low_confidence"): 1}
        assert result.shadowed == {("small", "big"): 1, ("small", "small"): 1}
        assert result.judges == {("p1", "c r1"): 4}

    def test_shadow_requests_without_a_decision_are_counted_by_why(self) -> None:
        result = summed(
            line("shadow", mode="shadow", target="big", served_by="small"),
            undecided("shadow", mode="shadow", not_judged="timeout"),
            undecided("shadow", mode="shadow", not_judged="queue_full"),
            undecided("shadow", mode="shadow", not_judged="timeout"),
        )

        assert result.not_judged == {"timeout": 2, "queue_full": 1}

    def test_confidence_is_counted_in_twentieths(self) -> None:
        result = summed(line("routed", confidence=0.5), line("routed", confidence=0.999), line("routed", confidence=1))

        assert result.confidence == {"reasoning": [0] * 10 + [1] + [0] * 8 + [2]}

    def test_shares_over_time_are_of_the_requests_that_needed_a_decision(self) -> None:
        result = summed(
            line("routed"),
            line("abstained", 59, rationale="abstain_no_rule"),
            undecided("failopen_timeout", 180),
            undecided("explicit", 180),
            line("shadow", 181, rationale="abstain_low_confidence"),
        )

        assert result.periods == [
            Period(start=START, needed=2, abstained=1),
            Period(start=START + 180, needed=2, abstained=1, failed_open=1),
        ]

    def test_a_long_log_has_at_most_48_periods(self) -> None:
        result = summed(*(line("routed", 60 * minute) for minute in range(0, 10_000, 7)))

        assert len(result.periods) == 48
        assert sum(period.needed for period in result.periods) == len(range(0, 10_000, 7))

    def test_tokens_belong_to_the_target_or_in_shadow_to_who_served(self) -> None:
        result = summed(
            line("routed", **used(10, 100)),
            line("routed"),
            line("shadow", mode="shadow", served_by="small", **used(5, 7)),
        )

        ledgers = {
            key: (each.requests, each.with_usage, each.completion_tokens) for key, each in result.ledgers.items()
        }
        assert ledgers == {("big", "auto"): (2, 1, 100), ("small", "shadow"): (1, 1, 7)}
        assert [(each.target, each.completion_before, each.completion_after) for each in result.tokens] == [
            ("big", 100, 200),
            ("small", 7, 0),
        ]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    file = tmp_path / "decisions.jsonl"
    (tmp_path / "decisions.jsonl.1").write_bytes(line("routed", **used(1_000_000, 1_000_000)) + b'\n{"ts": 17')
    file.write_bytes(
        b"\n".join(
            [
                line("abstained", 60, target="mid", served_by="mid", rationale="abstain_low_confidence"),
                line("shadow", 120, mode="shadow", target="big", served_by="<small>", **used(1_000_000, 500_000)),
                undecided("failopen_error", 180, target="mid", served_by="mid"),
                b'{"ts": 1795',
            ]
        )
    )
    return file


@pytest.fixture
def page(log: Path, tmp_path: Path) -> Path:
    (tmp_path / "prices.yaml").write_text("{big: {prompt: 1, completion: 4}, <small>: {prompt: 0.5, completion: 1}}")
    result = report(log, "--prices", tmp_path / "prices.yaml", "--output", tmp_path / "report.html")
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{tmp_path}/report.html: 4 requests from 2026-11-18 11:07 to 2026-11-18 11:10 UTC\n"
    return tmp_path / "report.html"


class Cells(HTMLParser):
    """The tables of a page as rows of texts, and every reference to something outside."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.references: list[str] = []
        self._in_cell = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
        if tag in {"td", "th"}:
            self.rows[-1].append("")
            self._in_cell = True
        self.references += [str(value) for name, value in attrs if name in {"src", "href", "data"}]

    def handle_endtag(self, tag: str) -> None:
        self._in_cell = self._in_cell and tag not in {"td", "th"}

    def handle_data(self, data: str) -> None:
        if self._in_cell:
            self.rows[-1][-1] += data


class TestPage:
    def test_its_tables_hold_the_figures_and_the_operators_prices(self, page: Path) -> None:
        cells = Cells(page.read_text(encoding="utf-8"))

        assert ["mid", "2", "50.0 %", "2", "0"] in cells.rows  # answered by: requests, share, auto, shadow
        assert ["<small>", "big", "1", "100.0 %"] in cells.rows
        assert ["big", "auto", "1", "1", "1,000,000", "1,000,000", "5.00"] in cells.rows
        assert ["<small>", "shadow", "1", "1", "1,000,000", "500,000", "1.00"] in cells.rows
        assert ["mid", "auto", "2", "0", "0", "0", "no price"] in cells.rows
        assert ["cost", "", "", "6.00", "10.00"] in cells.rows
        assert cells.references == []

    async def test_a_person_can_read_it_in_a_browser(self, page: Path, chromium: str) -> None:
        async with open_tab(chromium) as tab:
            await tab.open(page.as_uri())
            said = await tab.text("body")
            plots = await tab.evaluate("[...document.querySelectorAll('svg')].map(svg => svg.getBBox().width > 200)")
            overflow = await tab.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")

            assert "4 requests from 2026-11-18 11:07 to 2026-11-18 11:10 UTC" in said
            assert re.search(r"left out: 2 \(\S+/decisions.jsonl.1:2, \S+/decisions.jsonl:4\)\.", said)
            assert "Of 1 shadow requests judged, 0.0 % went where they belong." in said
            assert "Without a price: mid." in said
            assert (plots, overflow) == ([True, True], False)
            assert (tab.requested, tab.complaints) == ([page.as_uri()], [])


class TestRefusals:
    @pytest.mark.parametrize(
        ("content", "message"),
        [
            pytest.param(b"", "expected lines of a decision log, found none", id="empty"),
            pytest.param(b"a\nb\n", "expected lines of a decision log, found none", id="no JSON"),
            pytest.param(b'\n{"text": "x"}', ":2: expected a line of the decision log: Object missing", id="other"),
            pytest.param(b'{"outcome": "off"}', ":1: $.ts: expected the time of the request", id="no time"),
            pytest.param(b'{"outcome": "off", "ts": "now"}', ":1: expected a line of the decision log", id="type"),
            pytest.param(line("routed", scores={"a": 7}), ":1: $.scores: expected scores in 0..1", id="scores"),
        ],
    )
    def test_what_is_no_decision_log_is_refused_with_its_place(
        self, content: bytes, message: str, tmp_path: Path
    ) -> None:
        (tmp_path / "log").write_bytes(content)

        result = report(tmp_path / "log", "--output", tmp_path / "report.html")

        assert result.exit_code == 1
        assert message in result.stderr
        assert not (tmp_path / "report.html").exists()

    def test_a_place_that_cannot_be_written_is_named(self, log: Path, tmp_path: Path) -> None:
        result = report(log, "--output", tmp_path / "none" / "report.html")

        assert result.stderr == f"Error: {tmp_path}/none/report.html: cannot be written: No such file or directory\n"


def test_the_log_may_come_from_standard_input_and_needs_no_prices(tmp_path: Path) -> None:
    result = report("-", "--output", tmp_path / "report.html", given=line("routed"))

    assert result.exit_code == 0, result.output
    assert "cost" not in (tmp_path / "report.html").read_text()
