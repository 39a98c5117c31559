"""The project's Markdown files, taken apart: fenced blocks, inline code, headings and links."""

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import msgspec

from tests.conftest import CHECKOUT

GUIDE = CHECKOUT / "docs" / "guide.md"
README = CHECKOUT / "README.md"
REFERENCE = CHECKOUT / "docs" / "reference.md"
_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$(?P<after>\s*)", re.MULTILINE | re.DOTALL
)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_HEADING = re.compile(r"^#+ +(?P<title>.+)$", re.MULTILINE)


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """A fenced block and, where one follows at once, the ```text block with what it prints."""

    file: Path
    line: int
    language: str
    text: str
    output: str | None

    @property
    def place(self) -> str:
        return f"{self.file.relative_to(CHECKOUT)}:{self.line}"


def documents() -> list[Path]:
    """Return every Markdown file of the project, none of its environment's."""
    folders = [entry for entry in CHECKOUT.iterdir() if entry.is_dir() and not entry.name.startswith(".")]
    nested = (file for folder in folders for file in folder.rglob("*.md"))
    return sorted([*CHECKOUT.glob("*.md"), *nested])


def blocks(file: Path) -> list[Block]:
    text = file.read_text(encoding="utf-8")
    fences = list(_FENCE.finditer(text))
    return [
        Block(
            file=file,
            line=text.count("\n", 0, fence.start()) + 1,
            language=fence["language"],
            text=_dedent(fence),
            output=_output(fence, following),
        )
        for fence, following in pairwise([*fences, None])
        if fence is not None
    ]


def all_blocks(*languages: str) -> list[Block]:
    return [block for file in documents() for block in blocks(file) if block.language in languages]


def prose(file: Path) -> str:
    """Return the text without its fenced blocks."""
    return _FENCE.sub("", file.read_text(encoding="utf-8"))


def inline_code(file: Path) -> list[str]:
    return re.findall(r"`([^`\n]+)`", prose(file))


def indented_lines(file: Path) -> list[str]:
    """Return the lines of indented code, continued ones joined."""
    lines = prose(file).replace("\\\n", " ").splitlines()
    return [line.strip() for line in lines if line.startswith("    ")]


def links(file: Path) -> list[str]:
    return [match["target"] for match in _LINK.finditer(prose(file))]


def anchors(file: Path) -> set[str]:
    """Return the anchors of the headings as GitHub makes them."""
    return {_anchor(match["title"]) for match in _HEADING.finditer(prose(file))}


def shell_commands(block: Block) -> Iterator[str]:
    """Yield the commands of a shell block, continued lines joined, without prompts."""
    yield from (line.strip().removeprefix("$ ") for line in block.text.replace("\\\n", " ").splitlines())


def _anchor(title: str) -> str:
    return re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-")


def _dedent(fence: re.Match[str]) -> str:
    indent = fence["indent"]
    return "".join(line.removeprefix(indent) for line in fence["text"].splitlines(keepends=True))


def _output(fence: re.Match[str], following: re.Match[str] | None) -> str | None:
    if following is None or following["language"] != "text" or following.start() != fence.end():
        return None
    return _dedent(following).strip()
