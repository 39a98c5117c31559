"""Prompts to check a graph on: short and long, several languages, code, and texts that tokenize oddly."""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
from tokenizers import Tokenizer

from export.classifier.prompt_files import SHIPPED_PROMPTS, read_texts
from routing_policy.clipping import clip_text

TERSE_PROMPTS = Path(__file__).parents[1] / "recipe" / "terse_prompts.jsonl"
GATE_PROMPTS = 1000  # at least so many, for a share of one in a thousand to be seen
JOINED_PROMPTS = (2, 4, 8, 14, 20, 26)  # terse ones in a row, so that every length up to 256 tokens occurs
_SENTENCES = (
    "hi",
    "What is the boiling point of water at sea level?",
    "Show that there are infinitely many primes of the form 4k + 3.",
    "Write a haiku about the first snow of the year.",
    "A tank fills in 6 hours and drains in 9. How long until it is full with both pipes open?",
    "Translate 'good morning' into Portuguese.",
    "Implement an LRU cache in Python with O(1) get and put, and explain why it is O(1).",
    "rename all *.jpeg files to *.jpg in bash",
    "Who painted The Night Watch?",
    "If all bloops are razzies and some razzies are lazzies, must some bloops be lazzies?",
    "Summarise the plot of Hamlet in two sentences.",
    "What does HTTP status code 418 mean?",
    "Find the eigenvalues of [[2, 1], [1, 3]] and say what they tell you about x^T A x.",
    "Fix this: for i in range(10) print(i)",
    "Plan three days in Lisbon for a family of four, with no museum on Monday.",
    "thx!! u r gr8",
    "Quelle est la capitale de l'Australie ?",
    "Démontre que la somme de deux nombres impairs est paire.",
    "Ein Zug fährt um 8:15 Uhr mit 90 km/h ab, ein zweiter um 8:45 Uhr mit 120 km/h. Wann holt er ihn ein?",
    "Schreibe eine kurze Geburtstagskarte für meine Nachbarin.",
    "¿Cuántas formas hay de repartir 10 caramelos entre 4 niños?",
    "Recomiéndame una película de los años ochenta.",
    "请证明任意两个连续整数的乘积是偶数。",
    "今天天气怎么样",
    "東京タワーの高さは何メートルですか。",
    "Напиши функцию, которая проверяет, является ли строка палиндромом.",
    "ما هي عاصمة كندا؟",
    "एक आयत की लंबाई 12 सेमी और चौड़ाई 5 सेमी है। उसका विकर्ण ज्ञात कीजिए।",
    "서울에서 부산까지 거리는 얼마나 됩니까?",
    "Ankara'dan Bursa'ya trenle kaç saatte gidilir?",
    "SELECT name, COUNT(*) FROM orders GROUP BY name HAVING COUNT(*) > 3; why is this slow?",
    "def f(n): return 1 if n < 2 else n * f(n - 1)\n\nWhat is its complexity, and when does the stack overflow?",
    "🙂🙂🙂 what do these mean?",
    "\\int_0^\\infty e^{-x^2} dx = ?",
    "Three boxes are labelled apples, oranges and both; every label is wrong. You may take one fruit. Which box?",
    "List five synonyms of 'happy'.",
)


class TokenizedPrompts(msgspec.Struct, frozen=True, kw_only=True):
    """Texts with the token ids the classifier sees of them, and the lengths they may be padded to."""

    texts: list[str]
    ids: list[list[int]]
    buckets: list[int]


def tokenize_prompts(tokenizer: Tokenizer, texts: list[str], buckets: list[int]) -> TokenizedPrompts:
    ids = [clip_text(tokenizer, text, buckets[-1]).ids for text in texts]
    return TokenizedPrompts(texts=texts, ids=ids, buckets=buckets)


def check_prompts() -> list[str]:
    """Return some 45 prompts from one word to several hundred, so that every pad bucket sees some of them."""
    joined = " ".join(_SENTENCES)
    cuts = (60, 120, 180, 240, 300, 400, 600, 800, 1100, 1400, 1800)
    return [*_SENTENCES, *(joined[offset : offset + length] for offset, length in enumerate(cuts))]


def gate_prompts(own: Sequence[str] = ()) -> list[str]:
    """Return the check prompts, the caller's own and, up to 1,000 in all, ones that ship, from 3 to 256 tokens long."""
    texts = [*check_prompts(), *own]
    missing = max(GATE_PROMPTS - len(texts), 0)
    return [*texts, *itertools.islice(_shipped(), missing)]


def _shipped() -> Iterator[str]:
    """Yield the evaluation prompts, terse prompts joined to longer ones, then terse prompts as they are."""
    yield from read_texts(SHIPPED_PROMPTS)
    terse = read_texts(TERSE_PROMPTS)
    rest, length = iter(terse), itertools.cycle(JOINED_PROMPTS)
    while joined := list(itertools.islice(rest, next(length))):
        yield "\n".join(joined)
    yield from terse
