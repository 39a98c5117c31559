"""What people put around a prompt without changing what it asks: markup, and sentences that sound hard or easy.

None of it is a template of `robustness`, which measures on framings that training has not seen.
"""

import json
import random
import textwrap

MARKUP = (
    "```text\n{text}\n```",
    "```markdown\n{text}\n```",
    "```\n\n{text}\n\n```\n",
    "~~~\n{text}\n~~~",
    "See below.\n\n```\n{text}\n```",
    "```plaintext\n{text}\n```\nAnswer that.",
    "`{text}`",
    "<prompt>{text}</prompt>",
    "<question>\n{text}\n</question>",
    "<p>{text}</p>",
    '"""\n{text}\n"""',
    "---\n{text}\n---",
    "> {text}",
    "> [!NOTE]\n> {text}",
    "**{text}**",
    "*{text}*",
    '"{text}"',
    "- {text}",
    "- [ ] {text}",
    "1. {text}",
    "# {text}",
    "### Task\n\n{text}",
    "# Request\n\n- {text}",
    "**Q:** {text}\n\n**A:**",
    "Q: {text}\nA:",
    "Task: {text}",
    "| request |\n| --- |\n| {text} |",
    "[INST] {text} [/INST]",
    "### Instruction:\n{text}\n\n### Response:",
)
SOUNDS_HARD = (
    "I have been stuck on this for hours. ",
    "Our experts disagree about this one. ",
    "My professor calls this a real brain-teaser. ",
    "Think it through before you answer. ",
    "Take all the time it takes. ",
    "Only a genius gets this right. ",
    "This one is extremely demanding, so reason about it thoroughly. ",
    "A tough challenge, please work it out in detail: ",
    "Warning: complex. Analyse every aspect first. ",
    "Use chain of thought. ",
    "Act as a world-class mathematician. ",
    "You are a senior engineer with thirty years of experience. ",
    "Most models fail at this. ",
    "Please derive the answer rigorously and verify it. ",
    "Das ist richtig schwer, denk gut nach. ",
    "C'est un problème très compliqué, réfléchis bien. ",
    "Es muy complicado, razona con cuidado. ",
    "这个问题很难,请仔细思考。",
    "これはとても難しいので、よく考えてください。",
)
SOUNDS_EASY = (
    "Trivial, surely: ",
    "A child could answer this. ",
    "One line is enough. ",
    "Off the top of your head: ",
    "Nothing fancy: ",
    "Don't overthink it. ",
    "Simple thing. ",
    "This should take you a second. ",
    "Just for fun: ",
    "Basic stuff, just tell me. ",
    "Ganz einfach: ",
    "Rien de compliqué : ",
    "Es muy fácil: ",
    "很简单:",
    "簡単な質問です。",
)
BESIDE_THE_POINT = (
    "Before my maths exam I need this. ",
    "While my code compiles: ",
    "I proved a theorem yesterday; now something else. ",
    "(I also have a birthday to plan.) ",
    "My algorithms lecture starts in ten minutes. ",
    "It is lovely weather here. ",
    "I am writing to you from the train. ",
    "The report is done, thanks. Next: ",
    "My colleague, who debugs compilers, asked me this. ",
    "After dinner my daughter asked: ",
)
HARD_ENDINGS = (
    " Show all your work.",
    " Justify each claim you make.",
    " Explain your thinking.",
    " Let's take it apart piece by piece.",
    " Double-check before you reply.",
    " I will be graded on this.",
)
EASY_ENDINGS = (
    " Keep it short.",
    " Just the answer.",
    " No explanation, please.",
    " A short reply will do.",
    " Don't spend long on it.",
    " It's obvious, I know.",
)


def marked_up(text: str, rng: random.Random) -> str:
    """Put the text into Markdown, HTML, JSON, YAML or an indented block."""
    layout = rng.randrange(len(MARKUP) + 4)
    if layout < len(MARKUP):
        return MARKUP[layout].format(text=text)
    match layout - len(MARKUP):
        case 0:
            return json.dumps({"prompt": text}, ensure_ascii=False)
        case 1:
            return "question: |\n" + textwrap.indent(text, "  ")
        case 2:
            return textwrap.indent(text, "    ")
        case _:
            return textwrap.indent(text, "> ") + "\n"


def advertised(text: str, rng: random.Random) -> str:
    """Say that the prompt is hard, easy or something on the side, before it or after it; it stays what it is."""
    if rng.random() < 0.7:  # noqa: PLR2004 - people say it first
        return rng.choice(rng.choice((SOUNDS_HARD, SOUNDS_EASY, BESIDE_THE_POINT))) + text
    return text + rng.choice(rng.choice((HARD_ENDINGS, EASY_ENDINGS)))
