from pathlib import Path

from click.testing import CliRunner

from export.bundle.install_commands import bundle as bundle_commands
from export.evaluation.model_card import model_card
from export.outcomes.eval_command import eval_command
from routing_policy.bundle import read_bundle


def test_a_card_states_what_the_bundle_says(built_bundle: Path) -> None:
    bundle = read_bundle(built_bundle)

    card = model_card("reasoning_classifier", bundle, None)

    assert card.startswith("# reasoning_classifier\n\nJudges which of the labels non-reasoning, reasoning a prompt")
    assert f"| revision | {bundle.revision} |" in card
    assert f"| SHA-256 of model.onnx | {bundle.files['model.onnx']} |" in card
    assert "| exporter, torch | " in card
    assert "| parity, largest logit difference | " in card
    assert "How good it is" not in card


def test_a_card_takes_its_figures_from_an_evaluation(built_bundle: Path, tmp_path: Path) -> None:
    evaluation = tmp_path / "evaluation.json"
    CliRunner().invoke(eval_command, [str(built_bundle), "--resamples", "10", "--json", str(evaluation)])

    result = CliRunner().invoke(
        bundle_commands, ["card", str(built_bundle), "--name", "mine", "--evaluation", str(evaluation)]
    )

    assert result.exit_code == 0, result.output
    assert result.output.startswith("# mine\n")
    assert "Measured on 623 prompts of this project's own evaluation set." in result.output
    assert "### Against what else could decide\n\n| instead | accuracy |" in result.output
