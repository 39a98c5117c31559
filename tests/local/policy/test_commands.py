"""`semrouter policy` from the command line: what is printed, and the exit code that scripts act on."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from local.cli import main
from tests.router_proxy.conftest import Proxy, StartProxy, gone_url, proxy, stand_in, stand_in_url, start_proxy  # noqa: F401 - fixtures

CONFIGS = Path(__file__).parents[3] / "configs"
POLICY = """\
reasoning_model: big
general_model: small
abstain_onprem_model: mid
threshold_min_conf: 0.6
"""
UPSTREAMS = "upstreams: {big: {endpoints: [http://a]}, small: {endpoints: [http://b]}, mid: {endpoints: [http://c]}}"
LOG = (
    b'{"outcome": "routed", "target": "big", "scores": {"reasoning": 0.7, "non-reasoning": 0.3},'
    b' "usage": {"prompt_tokens": 10, "completion_tokens": 100}}\n'
    b'{"outcome": "abstained", "target": "mid", "scores": {"reasoning": 0.5, "non-reasoning": 0.5},'
    b' "usage": {"prompt_tokens": 10, "completion_tokens": 20}}\n'
    b'{"outcome": "off", "target": "small"}\n'
    b'{"outcome": "ro'
)


def semrouter(*arguments: object, given: bytes | None = None) -> Result:
    return CliRunner().invoke(main, ["policy", *map(str, arguments)], input=given)


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    return written(tmp_path, "policy.yaml", POLICY)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    file = tmp_path / "decisions.jsonl"
    file.write_bytes(LOG)
    return file


def written(directory: Path, name: str, content: str) -> Path:
    file = directory / name
    file.write_text(content)
    return file


class TestLint:
    def lint(self, directory: Path, policy: Path, *options: str) -> Result:
        upstreams = written(directory, "upstreams.yaml", UPSTREAMS)
        return semrouter("lint", policy, "--upstreams", upstreams, "--repository", directory, *options)

    def test_errors_are_listed_with_their_lines_and_exit_with_1(self, tmp_path: Path) -> None:
        policy = written(tmp_path, "policy.yaml", POLICY.replace("0.6", "1.4"))

        result = self.lint(tmp_path, policy)

        assert result.exit_code == 1
        assert result.stdout == f"{policy}:4: error: $.threshold_min_conf: expected float <= 1.0, got 1.4\n"
        assert result.stderr == "Error: 1 error, 0 warnings\n"

    @pytest.mark.parametrize(("options", "exit_code"), [pytest.param([], 0, id="lenient"), (["--strict"], 1)])
    def test_warnings_exit_with_1_only_when_strict(self, tmp_path: Path, options: list[str], exit_code: int) -> None:
        policy = written(tmp_path, "policy.yaml", POLICY.replace("0.6", "0.4") + "classifier: keyword\n")

        result = self.lint(tmp_path, policy, *options)

        assert result.exit_code == exit_code
        reason = "0.4 never abstains: a binary confidence is at least 0.5"
        assert result.stdout == f"{policy}:4: warning: $.threshold_min_conf: {reason}\n"

    def test_a_clean_policy_prints_nothing_and_exits_with_0(self, tmp_path: Path) -> None:
        policy = written(tmp_path, "policy.yaml", POLICY + "classifier: keyword\n")

        result = self.lint(tmp_path, policy, "--strict")

        assert (result.exit_code, result.output) == (0, "")

    def test_several_files_are_checked_in_one_go(self, tmp_path: Path) -> None:
        first = written(tmp_path, "first.yaml", "")
        second = written(tmp_path, "second.yaml", "a: [")

        result = semrouter("lint", first, second)

        assert result.exit_code == 1
        assert [line.split(":")[0] for line in result.stdout.splitlines()] == [str(first), str(second)]

    def test_without_files_the_shipped_policies_are_checked(self) -> None:
        result = semrouter("lint")

        assert (result.exit_code, "error" in result.stdout) == (0, False)

    def test_without_files_the_policy_of_the_environment_is_checked(self, tmp_path: Path) -> None:
        policy = written(tmp_path, "policy.yaml", POLICY.replace("0.6", "1.4"))

        result = CliRunner(env={"SEMROUTER_CONFIG": str(policy)}).invoke(main, ["policy", "lint"])

        assert result.exit_code == 1
        assert result.stdout.startswith(f"{policy}:4: error: ")

    def test_a_wrong_option_exits_with_2(self) -> None:
        assert semrouter("lint", "--stricter").exit_code == 2


class TestTest:
    CASES = """\
tests:
  - {name: sure, scores: {reasoning: 0.9}, expect: {target: big}}
  - {name: unsure, scores: {reasoning: 0.5}, expect: {rationale: abstain_low_confidence}}
"""

    def test_the_policys_own_tests_are_run(self, tmp_path: Path) -> None:
        result = semrouter("test", written(tmp_path, "policy.yaml", POLICY + self.CASES))

        assert result.exit_code == 0
        assert result.stdout.splitlines() == [
            "PASSED   sure (big, reasoning)",
            "PASSED   unsure (mid, abstain_low_confidence)",
            "2 passed, 0 failed, 0 skipped",
        ]

    def test_a_failed_test_exits_with_1_and_says_what_came_out(self, tmp_path: Path, policy: Path) -> None:
        cases = written(tmp_path, "cases.yaml", self.CASES.replace("reasoning: 0.9", "reasoning: 0.1"))

        result = semrouter("test", policy, "--cases", cases)

        assert result.exit_code == 1
        assert result.stdout.startswith("FAILED   sure (expected target big, got small (score of reasoning 0.1")
        assert result.stderr == f"Error: {policy}: 1 test failed\n"

    @pytest.mark.parametrize(
        "cases",
        [pytest.param("", id="none"), pytest.param("tests: [{text: hi, expect: {target: big}}]", id="texts only")],
    )
    def test_testing_nothing_is_not_a_success(self, tmp_path: Path, cases: str) -> None:
        result = semrouter("test", written(tmp_path, "policy.yaml", POLICY + cases))

        assert result.exit_code == 1
        assert "nothing was tested" in result.stderr

    def test_tests_that_are_not_well_formed_are_refused_with_their_path(self, tmp_path: Path, policy: Path) -> None:
        cases = written(tmp_path, "cases.yaml", "tests: [{scores: {reasoning: 2}, expect: {target: big}}]")

        result = semrouter("test", policy, "--cases", cases)

        assert result.exit_code == 1
        assert result.stderr.startswith(f"Error: {cases}: $.tests[0].scores.reasoning: expected float <= 1.0, got 2")

    async def test_texts_are_scored_by_the_classifier_of_a_live_proxy(self, proxy: Proxy) -> None:  # noqa: F811 - the fixture
        url = str(proxy.client.make_url("/v1"))

        result = await asyncio.to_thread(semrouter, "test", CONFIGS / "semantic-router-binary.yaml", "--url", url)

        assert result.exit_code == 0
        assert result.stdout.endswith("4 passed, 0 failed, 0 skipped\n")

    async def test_a_proxy_that_wants_a_key_is_given_the_one_in_the_variable_named(
        self,
        start_proxy: StartProxy,  # noqa: F811 - the fixture
        stand_in_url: str,  # noqa: F811 - the fixture
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("TEAM_KEY", "secret")
        proxy = await start_proxy(stand_in_url, {"client_keys_env": ["TEAM_KEY"]}, TEAM_KEY="secret")  # noqa: F811 - one of our own
        asked = ("test", CONFIGS / "semantic-router-binary.yaml", "--url", str(proxy.client.make_url("/")))

        refused = await asyncio.to_thread(semrouter, *asked)
        admitted = await asyncio.to_thread(semrouter, *asked, "--key-env", "TEAM_KEY")

        assert (refused.exit_code, admitted.exit_code) == (1, 0)
        assert "no decision was taken: Authorization: expected one of this server's client keys" in refused.stderr

    async def test_a_classifier_that_lacks_the_policys_labels_cannot_score_for_it(
        self,
        tmp_path: Path,
        proxy: Proxy,  # noqa: F811 - the fixture
    ) -> None:
        shipped = (CONFIGS / "semantic-router.yaml").read_text(encoding="utf-8").partition("tests:")[0]
        policy = written(tmp_path, "policy.yaml", shipped + "tests: [{text: hi, expect: {rationale: general}}]")

        result = await asyncio.to_thread(semrouter, "test", policy, "--url", str(proxy.client.make_url("/")))

        assert result.exit_code == 1
        assert "$.rules[0].when_any[1].label: expected a label of topic_classifier" in result.stderr

    def test_a_proxy_that_is_not_there_is_named(self, tmp_path: Path, gone_url: str) -> None:  # noqa: F811 - the fixture
        policy = written(tmp_path, "policy.yaml", POLICY + "tests: [{text: hi, expect: {target: big}}]")

        result = semrouter("test", policy, "--url", gone_url)

        assert result.exit_code == 1
        assert result.stderr.startswith(f"Error: {gone_url}/v1/route: expected a semantic router: ")

    async def test_a_proxy_without_a_decision_gives_no_scores(
        self,
        policy: Path,
        start_proxy: StartProxy,  # noqa: F811 - the fixture
        gone_url: str,  # noqa: F811 - the fixture
    ) -> None:
        proxy = await start_proxy(gone_url.removeprefix("http://"))  # noqa: F811 - one of our own
        url = str(proxy.client.make_url("/"))

        result = await asyncio.to_thread(semrouter, "explain", policy, "--text", "hi", "--url", url)

        assert result.exit_code == 1
        assert "no decision was taken: failopen_" in result.stderr


class TestExplain:
    def test_the_trace_and_what_would_flip_it_are_printed(self, policy: Path) -> None:
        result = semrouter("explain", policy, "--scores", '{"reasoning": 0.55}')

        assert result.exit_code == 0
        assert result.stdout.splitlines() == [
            "mid (abstain_low_confidence, winner reasoning, confidence 0.55)",
            "  abstained: confidence 0.55, 0.05 short at $.threshold_min_conf 0.6",
            "",
            "+ $.reasoning_cutoff: score of reasoning 0.55 against 0.5, gap +0.05",
            "- $.threshold_min_conf: confidence 0.55 against 0.6, gap -0.05",
            "",
            "It would go elsewhere if one score moved, the others keeping their proportions and the sum:",
            "    reasoning from 0.55 to 0.6 (+0.05): big (reasoning)",
            "It would go elsewhere if one setting were changed:",
            "    $.threshold_min_conf from 0.6 to 0.55 (-0.05): big (reasoning)",
            "    $.reasoning_cutoff from 0.5 to 0.4375 (-0.0625): big (reasoning)",
        ]

    def test_rules_are_shown_clause_by_clause(self) -> None:
        scores = '{"math": 0.6, "code": 0.55, "reasoning": 0.1, "general": 0}'

        result = semrouter("explain", CONFIGS / "semantic-router.yaml", "--scores", scores)

        assert result.stdout.splitlines()[3:9] == [
            "+ $.threshold_min_conf: highest score, math 0.6 against 0.5, gap +0.1",
            "> $.rules[0] reasoning: deepseek-ai/DeepSeek-R1-Distill-Llama-8B",
            "    - reasoning 0.1 against 0.55, gap -0.45, x weight 60 = 6",
            "    + math 0.6 against 0.55, gap +0.05, x weight 60 = 36  <- fired",
            "  $.rules[1] code: deepseek-ai/DeepSeekCoder-V2-Lite-Instruct",
            "    + code 0.55 against 0.5, gap +0.05, x weight 50 = 27.5",
        ]
        assert "the others staying as they are" in result.stdout

    def test_a_policy_with_one_target_says_that_nothing_would_flip_it(self, tmp_path: Path) -> None:
        policy = written(tmp_path, "policy.yaml", POLICY.replace("big", "mid").replace("small", "mid"))

        result = semrouter("explain", policy, "--scores", '{"reasoning": 0.55}')

        assert result.stdout.endswith("No change of one score or one setting would decide for another target.\n")

    def test_programs_get_json(self, policy: Path) -> None:
        result = semrouter("explain", policy, "--scores", '{"reasoning": 0.9}', "--json")

        explanation = msgspec.json.decode(result.stdout)
        assert explanation["decision"]["target"] == "big"
        assert explanation["flips"][0]["to"] == 0.599999999

    async def test_a_text_is_scored_by_the_classifier_of_a_live_proxy(self, policy: Path, proxy: Proxy) -> None:  # noqa: F811 - the fixture
        url = str(proxy.client.make_url("/"))

        result = await asyncio.to_thread(semrouter, "explain", policy, "--text", "Prove it", "--url", url)

        assert result.stdout.splitlines()[0] == "big (reasoning, winner reasoning, confidence 0.9)"

    @pytest.mark.parametrize(
        "options",
        [
            pytest.param([], id="neither"),
            pytest.param(["--scores", '{"reasoning": 1}', "--text", "hi"], id="both"),
            pytest.param(["--text", "hi"], id="a text without a proxy"),
        ],
    )
    def test_it_takes_scores_or_a_text_with_a_proxy(self, policy: Path, options: list[str]) -> None:
        assert semrouter("explain", policy, *options).exit_code == 2

    def test_a_policy_that_could_not_be_served_is_refused(self, tmp_path: Path) -> None:
        policy = written(tmp_path, "policy.yaml", POLICY.replace("0.6", "1.4"))

        result = semrouter("explain", policy, "--scores", '{"reasoning": 0.9}')

        assert result.exit_code == 1
        assert result.stderr == f"Error: {policy}: $.threshold_min_conf: expected float <= 1.0, got 1.4\n"


class TestReplay:
    def test_what_moves_and_what_could_not_be_replayed_is_printed(self, tmp_path: Path, log: Path) -> None:
        stricter = written(tmp_path, "stricter.yaml", POLICY.replace("0.6", "0.8"))

        result = semrouter("replay", stricter, log)

        assert result.exit_code == 0
        assert result.stdout.splitlines() == [
            "2 of 4 lines replayed; 1 (50.0%) move",
            "1 without scores: no decision was taken on them",
            f"1 malformed: {log}:4",
            "",
            "target                log      stricter.yaml",
            "mid             1 (50.0%)         2 (100.0%)",
            "big             1 (50.0%)           0 (0.0%)",
            "",
            "moves",
            "         1 (50.0%)  big -> mid",
            "",
            "tokens of the 2 requests with usage; a moved one is taken to write its new target's mean",
            "  big: prompt 10 -> 0, completion 100 -> 0",
            "  mid: prompt 10 -> 20, completion 20 -> 40",
            "  completion in all: 120 -> 40 (-80)",
        ]

    def test_the_log_may_come_from_standard_input(self, policy: Path) -> None:
        result = semrouter("replay", policy, "-", given=LOG)

        assert result.stdout.startswith("2 of 4 lines replayed; 0 (0.0%) move\n")

    def test_the_parts_a_log_was_rotated_into_are_read_and_several_logs_are_one(
        self, tmp_path: Path, policy: Path, log: Path
    ) -> None:
        for name in ("decisions.jsonl", "decisions.jsonl.1", "decisions.jsonl.10", "decisions.jsonl.gz"):
            (tmp_path / name).write_bytes(LOG)

        result = semrouter(
            "replay", policy, tmp_path / "decisions.jsonl", written(tmp_path, "other.jsonl", LOG.decode())
        )

        assert result.stdout.splitlines()[0] == "8 of 16 lines replayed; 0 (0.0%) move"
        assert f"4 malformed: {log}.10:4, {log}.1:4, {log}:4, {tmp_path}/other.jsonl:4" in result.stdout

    def test_a_log_that_is_not_there_exits_with_2(self, policy: Path) -> None:
        assert semrouter("replay", policy, "absent.jsonl").exit_code == 2


class TestDiff:
    def diff(self, directory: Path, policy: Path, log: Path, *options: object) -> Result:
        stricter = written(directory, "stricter.yaml", POLICY.replace("0.6", "0.8"))
        return semrouter("diff", policy, stricter, log, *options)

    def test_cost_is_estimated_with_the_operators_prices(self, tmp_path: Path, policy: Path, log: Path) -> None:
        prices = "{big: {prompt: 100, completion: 1000}, mid: {prompt: 10, completion: 100}}"

        result = self.diff(tmp_path, policy, log, "--prices", written(tmp_path, "prices.yaml", prices))

        assert result.stdout.splitlines()[-1] == "cost of these: 0.1031 -> 0.0042 (-95.9%)"

    def test_programs_get_json(self, tmp_path: Path, policy: Path, log: Path) -> None:
        result = self.diff(tmp_path, policy, log, "--json")

        document: dict[str, Any] = msgspec.json.decode(result.stdout)
        assert document["moves"] == [{"source": "big", "destination": "mid", "requests": 1, "share": 0.5}]
        assert document["malformed"] == [f"{log}:4"]
        assert document["cost"] is None

    def test_a_log_without_usage_says_so(self, tmp_path: Path, policy: Path, log: Path) -> None:
        log.write_bytes(LOG.replace(b'"usage"', b'"used"'))

        result = self.diff(tmp_path, policy, log)

        assert result.stdout.endswith("The log has no token usage to estimate from.\n")


def test_schemas_are_written_into_the_directory_named(tmp_path: Path) -> None:
    result = semrouter("schema", "--directory", tmp_path)

    assert result.exit_code == 0
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "canaries.schema.json",
        "semantic-router.schema.json",
        "upstreams.schema.json",
    ]
