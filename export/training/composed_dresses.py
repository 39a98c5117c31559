"""Dresses made up as training goes: lists of wishes, headers, passages and tags, each in a layout drawn at random.

Hand-written dresses teach what people write; these teach that layout, number and order of such things are endless.
"""

import json
import random
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from export.recipe.dresses import PLACE, Dress

WISHES = {  # kinds of dresses that are a sentence before or after the prompt
    "answer_format",
    "answer_length",
    "answer_language",
    "audience",
    "channel",
    "evaluation_wording",
    "output_rules",
    "politeness",
    "quality_wishes",
    "role_preamble",
    "tone",
}
LONGEST_WISH = 110  # characters

Composer = Callable[[str, random.Random], str]


class Words(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What dresses are made of, in many languages."""

    headings: list[str]
    keys: list[str]
    values: list[str]
    openings: list[str]  # what a field with the prompt is called
    tags: list[str]
    chat_names: list[tuple[str, str]]  # of the person and of the machine
    small_talk: list[tuple[str, str]]
    passage_titles: list[str]
    passages: list[str]


Grammar = dict[str, list[str]]

WORDS = msgspec.json.decode(Path(__file__).with_name("dress_words.json").read_bytes(), type=Words)

GRAMMARS = msgspec.json.decode(
    Path(__file__).with_name("wish_grammars.json").read_bytes(), type=dict[str, Grammar]
)  # by language; "sentences" have slots that are filled from the other lists


def wishes(dresses: Sequence[Dress]) -> list[str]:
    """Return the sentences of those dresses that are one line of wishes beside the prompt."""
    found = []
    for dress in dresses:
        before, _, after = (part.strip() for part in dress.template.partition(PLACE))
        sentence = before or after
        alone = not (before and after) and "\n" not in sentence
        if dress.kind in WISHES and alone and 0 < len(sentence) <= LONGEST_WISH:
            found.append(sentence)
    return found


def composed(text: str, sentences: Sequence[str], rng: random.Random) -> str:
    """Return `text` with a wish, a list of some of `sentences`, a header, passages, tags or earlier turns around it."""
    composers = (
        _wished,
        _wished,
        _wished,
        _wished,
        _listed(sentences),
        _listed(sentences),
        _headed,
        _after_passages,
        _tagged,
        _in_chat,
    )
    return rng.choice(composers)(text, rng)


def made_up_wish(rng: random.Random) -> str:
    """Return a wish about the answer, one of many thousands: half of them in English."""
    grammar = GRAMMARS["en"] if rng.random() < 1 / 2 else rng.choice(list(GRAMMARS.values()))
    sentence = re.sub(r"\{(\w+)\}", lambda slot: _fill(grammar, slot[1], rng), rng.choice(grammar["sentences"]))
    return sentence[0].upper() + sentence[1:] if rng.random() < 2 / 3 else sentence


def _fill(grammar: Grammar, slot: str, rng: random.Random) -> str:
    """Return one filling of the slot; one whose name begins with a capital begins a sentence."""
    filling = rng.choice(grammar[slot.lower()])
    return filling[0].upper() + filling[1:] if slot[0].isupper() else filling


def _wished(text: str, rng: random.Random) -> str:
    wish = made_up_wish(rng)
    gap = rng.choice((" ", "\n", "\n\n", " - "))
    return f"{wish}{gap}{text}" if rng.random() < 0.4 else f"{text}{gap}{wish}"  # noqa: PLR2004 - more often after it


def _listed(sentences: Sequence[str]) -> Composer:
    def dress(text: str, rng: random.Random) -> str:
        chosen = rng.sample(sentences, rng.randint(1, 3)) + [made_up_wish(rng) for _ in range(rng.randint(0, 3))]
        rng.shuffle(chosen)
        return _beside(text, _wish_list(chosen, rng), rng)

    return dress


def _wish_list(chosen: list[str], rng: random.Random) -> str:
    heading = rng.choice(WORDS.headings)
    mark = rng.choice(("number.", "number)", "(letter)", "-", "*", "•", "", "one line"))
    lines = [_marked(mark, at, each) for at, each in enumerate(chosen)] if mark != "one line" else [" ".join(chosen)]
    return "\n".join([heading, *lines] if heading else lines)


def _marked(mark: str, at: int, line: str) -> str:
    """Return the line behind its mark, counted from 0."""
    filled = mark.replace("number", str(at + 1)).replace("letter", "abcdef"[at])
    return f"{filled} {line}" if filled else line


def _headed(text: str, rng: random.Random) -> str:
    """Put some fields before or after the text, or make it one of them."""
    fields = {key: rng.choice(WORDS.values) for key in rng.sample(WORDS.keys, rng.randint(1, 6))}
    lines = "".join(f"{key}: {value}\n" for key, value in fields.items())
    one = rng.choice(("json", "lines", "brackets", "front matter", "table", "tags", "beside"))
    layouts = {
        "json": json.dumps({**fields, rng.choice(WORDS.openings): text}, ensure_ascii=False),
        "lines": f"{lines}{rng.choice(WORDS.openings)}: {text}",
        "brackets": f"[{rng.choice((' | ', '; ')).join(f'{key}={value}' for key, value in fields.items())}] {text}",
        "front matter": f"---\n{lines}---\n{text}",
        "table": "".join(f"| {key} | {value} |\n" for key, value in fields.items()) + f"| {text} |",
        "tags": "".join(f"<{key}>{value}</{key}>" for key, value in fields.items()) + f"\n{text}",
        "beside": _beside(text, lines.strip(), rng),
    }
    return layouts[one]


def _after_passages(text: str, rng: random.Random) -> str:
    """Put what a search found, which has nothing to do with the text, before it or after it."""
    title, chosen = rng.choice(WORDS.passage_titles), rng.sample(WORDS.passages, rng.randint(0, 5))
    match rng.randrange(4):
        case 0:
            found = "\n".join(f"[{number}] {each}" for number, each in enumerate(chosen, start=1))
        case 1:
            found = f"<{title}>\n" + "\n".join(chosen) + f"\n</{title}>"
        case 2:
            found = json.dumps([{"id": number, "text": each} for number, each in enumerate(chosen)], ensure_ascii=False)
        case _:
            found = " ".join(chosen)
    return _beside(text, f"{title}:\n{found}" if rng.random() < 1 / 2 else found, rng)


def _tagged(text: str, rng: random.Random) -> str:
    tag = rng.choice(WORDS.tags)
    layouts = (
        f"<{tag}>{text}</{tag}>",
        f"[{tag}]\n{text}\n[/{tag}]",
        f"{'#' * rng.randint(1, 4)} {tag}\n{text}",
        f"=== {tag.upper()} ===\n{text}\n=== /{tag.upper()} ===",
        f"**{tag}:** {text}",
        f"{tag.upper()}>>> {text} <<<",
        f"{tag}: {text}",
    )
    return rng.choice(layouts)


def _in_chat(text: str, rng: random.Random) -> str:
    person, machine = rng.choice(WORDS.chat_names)
    turns = []
    for said, answered in rng.sample(WORDS.small_talk, rng.randint(0, 2)):
        turns += [(person, said), (machine, answered)]
    left, right = rng.choice((("", ": "), ("<", "> "), ("[", "] "), ("**", "**: "), ("", ">\n"), ("<|", "|>\n")))
    lines = [f"{left}{name}{right}{said}" for name, said in [*turns, (person, text)]]
    if rng.random() < 1 / 2:
        lines.append(f"{left}{machine}{right}".rstrip())
    return "\n".join(lines)


def _beside(text: str, addition: str, rng: random.Random) -> str:
    """Put the addition before the text or after it."""
    gap = rng.choice(("\n", "\n\n", "\n\n", "\n\n---\n\n", "\n\n\n"))
    opening = rng.choice(("", "", f"{rng.choice(WORDS.openings)}: ", f"# {rng.choice(WORDS.openings)}\n"))
    return f"{addition}{gap}{opening}{text}" if rng.random() < 0.6 else f"{opening}{text}{gap}{addition}"  # noqa: PLR2004 - it comes first more often
