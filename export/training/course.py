"""From labelled prompts to a trained classifier: the teacher first, if there is one, then the classifier that ships."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import torch
from tokenizers import Tokenizer
from torch.nn import functional

from export.classifier.third_party import quiet_libraries
from export.encoders.small_classifier import SmallShape, new_classifier, start_embeddings
from export.encoders.vocabulary import open_tokenizer, prune_vocabulary
from export.recipe.dresses import TRAINING_DRESSES, read_dresses

from .augmentation import rewritten
from .batches import encode, grouped
from .data import LabelledPrompt, balanced_over_labels, source_weights
from .dressing import dressed
from .loop import Examples, Report, Schedule, Taught, Trainer, paired_batches, predict
from .networks import StudentNetwork, TeacherNetwork, with_more_outputs, with_rows

SMALLEST_GROUP = 8  # prompts; a share of fewer says nothing
TEACHER_EPOCH = 1000  # the teacher's draw of the prompts is none of the student's
REWRITING_OF_DRESSED = 500_000  # added to the seed
DRESSED_REWRITE_SHARE = 0.3


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that decides the outcome besides the data and the number of threads."""

    epochs: int = 4
    seed: int = 1
    max_tokens: int = 256  # a training prompt is cut to this, by the rule that cuts at serving
    teacher_max_tokens: int = 128
    prompts_per_epoch: int | None = None  # drawn without repeats, small sources favoured; None takes all of them
    patience: int = 2
    vocabulary: int = 12_000
    shape: SmallShape = SmallShape()
    schedule: Schedule = Schedule(learning_rate=1e-3)
    teacher_schedule: Schedule = Schedule(learning_rate=1e-4, averaging=0.98)
    source_weights: dict[str, float] = {}
    balance_labels: bool = False  # draw, or weigh, every label alike
    pairs: bool = True  # learn each prompt as it is and dressed, and to judge both alike


class Course(msgspec.Struct, frozen=True, kw_only=True):
    """What is learned and how. `labels` and `topics` are in the order of the heads' outputs."""

    prompts: list[LabelledPrompt]
    dev: list[LabelledPrompt]
    unseen: list[LabelledPrompt] = []  # of sources held out of both, to judge by
    labels: list[str]
    topics: list[str]
    recipe: Recipe


class Student(msgspec.Struct, frozen=True):
    """A Hugging Face sequence classifier and the tokenizer it reads with."""

    classifier: Any
    tokenizer: Tokenizer


class Teacher(msgspec.Struct, frozen=True):
    network: TeacherNetwork
    tokenizer: Tokenizer
    labels: list[str]


class Pass(msgspec.Struct, frozen=True):
    """How the averaged weights do on the dev prompts after one epoch."""

    accuracy: float
    loss: float


def new_student(course: Course, donor: Path) -> Student:
    """Return a new small ModernBERT whose vocabulary and token embeddings start from the BERT in `donor`."""
    torch.manual_seed(course.recipe.seed)
    donor_tokenizer = open_tokenizer(donor / "tokenizer.json")
    texts = [prompt.text for prompt in course.prompts]
    tokenizer = prune_vocabulary(donor_tokenizer, texts, course.recipe.vocabulary)
    classifier = new_classifier(course.recipe.shape, tokenizer, course.labels)
    start_embeddings(classifier, tokenizer, donor, donor_tokenizer)
    with_more_outputs(classifier, len(course.labels), len(course.topics))
    return Student(classifier, tokenizer)


def fine_tune_teacher(course: Course, folder: Path, report: Report) -> Teacher:
    """Return the encoder in `folder` with heads for the course's tasks, after one draw of the prompts."""
    torch.manual_seed(course.recipe.seed)
    network = TeacherNetwork(folder, len(course.labels), max(len(course.topics), 1))
    tokenizer = open_tokenizer(folder / "tokenizer.json")
    chosen = rewritten_prompts(course, draw(course, TEACHER_EPOCH), TEACHER_EPOCH)
    ids = encode(tokenizer, [prompt.text for prompt in chosen], course.recipe.teacher_max_tokens)
    examples = _examples(course, chosen, ids, taught=None)
    schedule = course.recipe.teacher_schedule
    trainer = Trainer(network, schedule, steps=len(grouped(ids, schedule.tokens_per_batch)))
    report(f"teacher: {len(chosen)} prompts, {trainer.steps} steps")
    trainer.train(examples, _rng(course, TEACHER_EPOCH), report)
    return Teacher(trainer.averaged, tokenizer, course.labels)


def fit(course: Course, student: Student, teacher: Teacher | None, report: Report) -> list[Pass]:
    """Train `student` in place, stopping early; it ends with the averaged weights of its best epoch on dev."""
    torch.manual_seed(course.recipe.seed)
    vector_size = 0 if teacher is None else teacher.network.vector_size
    network = StudentNetwork(student.classifier, len(course.labels), vector_size)
    first = _lesson(course, student, teacher, epoch=0)
    schedule, epochs = course.recipe.schedule, course.recipe.epochs
    trainer = Trainer(network, schedule, steps=epochs * len(paired_batches(first, schedule)))
    passes: list[Pass] = []
    best: dict[str, torch.Tensor] = {}
    for epoch in range(epochs):
        lesson = first if epoch == 0 else _lesson(course, student, teacher, epoch)
        trainer.train(lesson, _rng(course, epoch), report)
        passes.append(measure(course, trainer.averaged, student.tokenizer))
        report(f"epoch {epoch + 1}/{epochs}: dev accuracy {passes[-1].accuracy:.4f}, loss {passes[-1].loss:.4f}")
        if _best(passes) == epoch:
            best = {name: value.clone() for name, value in trainer.averaged.classifier.state_dict().items()}
        if epoch - _best(passes) >= course.recipe.patience:
            report(f"stopped early: no lower dev loss in {course.recipe.patience} epochs")
            break
    report(f"epoch {_best(passes) + 1} has the lowest dev loss and is kept")
    student.classifier.load_state_dict(best)
    return passes


def _best(passes: Sequence[Pass]) -> int:
    """Return the epoch, from 0, with the lowest loss; of several alike the first."""
    return min(range(len(passes)), key=lambda epoch: passes[epoch].loss)


def draw(course: Course, epoch: int) -> list[LabelledPrompt]:
    """Return the prompts of one epoch; the same course and epoch give the same ones."""
    recipe = course.recipe
    rows = np.arange(len(course.prompts))
    if recipe.prompts_per_epoch is not None and recipe.prompts_per_epoch < len(rows):
        weights = np.array(_weights(course, course.prompts))
        generator = np.random.default_rng([recipe.seed, epoch])
        rows = generator.choice(rows, size=recipe.prompts_per_epoch, replace=False, p=weights / weights.sum())
    return [course.prompts[row] for row in rows]


def rewritten_prompts(course: Course, chosen: Sequence[LabelledPrompt], epoch: int) -> list[LabelledPrompt]:
    texts = rewritten([prompt.text for prompt in chosen], seed=_seed(course, epoch))
    return [msgspec.structs.replace(prompt, text=text) for prompt, text in zip(chosen, texts, strict=True)]


def dressed_copies(course: Course, chosen: Sequence[LabelledPrompt], epoch: int) -> list[str]:
    """Return the text of each prompt, some rewritten in another way than the bare copy, and all dressed."""
    seed = _seed(course, epoch)
    texts = rewritten([prompt.text for prompt in chosen], seed=seed + REWRITING_OF_DRESSED, share=DRESSED_REWRITE_SHARE)
    return dressed(texts, read_dresses(TRAINING_DRESSES), seed)


def teach(course: Course, teacher: Teacher, texts: Sequence[str]) -> Taught:
    """Return what the teacher says of `texts`, rows in their order."""
    ids = encode(teacher.tokenizer, texts, course.recipe.teacher_max_tokens)
    order: list[int] = []
    parts = []
    for rows, outputs in predict(teacher.network, ids):
        order += rows
        parts.append(Taught(outputs.logits, outputs.topic_logits, outputs.vectors))
    back = torch.tensor(order).argsort()
    return Taught(*(torch.cat(part)[back] for part in zip(*map(msgspec.structs.astuple, parts), strict=True)))


def measure(course: Course, network: Any, tokenizer: Tokenizer) -> Pass:
    logits, labels = score(course, network, tokenizer, course.dev)
    accuracy = (logits.argmax(-1) == labels).float().mean()
    return Pass(float(accuracy), float(functional.cross_entropy(logits, labels)))


def accuracies(course: Course, network: Any, tokenizer: Tokenizer, prompts: Sequence[LabelledPrompt]) -> dict[str, Any]:
    """Return the share judged right, of all and by label, source and language."""
    logits, labels = score(course, network, tokenizer, prompts)
    right = (logits.argmax(-1) == labels).tolist()
    return {
        "accuracy": round(sum(right) / len(right), 4),
        "by_label": _shares([prompt.label for prompt in prompts], right),
        "by_source": _shares([prompt.source for prompt in prompts], right),
        "by_language": _shares([prompt.language for prompt in prompts], right),
    }


def score(
    course: Course, network: Any, tokenizer: Tokenizer, prompts: Sequence[LabelledPrompt]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return logits float32 [prompts, labels] and the right labels' numbers, int64 [prompts]."""
    ids = encode(tokenizer, [prompt.text for prompt in prompts], course.recipe.max_tokens)
    logits = torch.zeros(len(ids), len(course.labels))
    for rows, outputs in predict(network, ids):
        logits[rows] = outputs.logits
    return logits, torch.tensor([course.labels.index(prompt.label) for prompt in prompts])


def of_task(course: Course, student: Student, task: Literal["labels", "topics"]) -> Student:
    """Return the classifier with the outputs of one task only, which is what a checkpoint and a bundle hold."""
    labels, topics = len(course.labels), len(course.topics)
    names, first = (course.labels, 0) if task == "labels" else (course.topics, labels)
    kept = with_rows(student.classifier, labels + topics, [*range(first, first + len(names))])
    kept.config.id2label = dict(enumerate(names))
    kept.config.label2id = {name: row for row, name in enumerate(names)}
    return Student(kept, student.tokenizer)


def topics_as_labels(course: Course) -> Course:
    """Return the same course, seen from its second task."""
    return msgspec.structs.replace(
        course,
        prompts=_by_topic(course.prompts),
        dev=_by_topic(course.dev),
        unseen=_by_topic(course.unseen),
        labels=course.topics,
        topics=[],
    )


def _by_topic(prompts: Sequence[LabelledPrompt]) -> list[LabelledPrompt]:
    return [msgspec.structs.replace(each, label=each.topic, topic=None) for each in prompts if each.topic is not None]


def save_checkpoint(student: Student, folder: Path) -> None:
    """Write what `semrouter export` reads: weights, config.json, tokenizer.json and tokenizer_config.json."""
    with quiet_libraries():
        from transformers import PreTrainedTokenizerFast

    student.classifier.save_pretrained(folder)
    names = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")}
    # A name that the vocabulary lacks, as RoBERTa's does, would become a piece the network has no vector for.
    known: dict[str, Any] = {
        name: token for name, token in names.items() if student.tokenizer.token_to_id(token) is not None
    }
    known["model_max_length"] = student.classifier.config.max_position_embeddings
    fast = PreTrainedTokenizerFast(tokenizer_object=student.tokenizer, **known)  # type: ignore[no-untyped-call] # transformers' own
    fast.save_pretrained(folder)


def _lesson(course: Course, student: Student, teacher: Teacher | None, epoch: int) -> Examples:
    chosen = draw(course, epoch)
    texts = [prompt.text for prompt in rewritten_prompts(course, chosen, epoch)]
    taught = None if teacher is None else teach(course, teacher, texts)
    examples = _examples(course, chosen, encode(student.tokenizer, texts, course.recipe.max_tokens), taught)
    if not course.recipe.pairs:
        return examples
    copies = encode(student.tokenizer, dressed_copies(course, chosen, epoch), course.recipe.max_tokens)
    return msgspec.structs.replace(examples, dressed=copies)


def _examples(
    course: Course, chosen: Sequence[LabelledPrompt], ids: list[list[int]], taught: Taught | None
) -> Examples:
    drawn = course.recipe.prompts_per_epoch is not None
    weights = [1.0] * len(chosen) if drawn else _weights(course, chosen)
    topics = [course.topics.index(prompt.topic) for prompt in chosen if prompt.topic is not None]
    labels = [course.labels.index(prompt.label) for prompt in chosen]
    return Examples(
        ids, torch.tensor(labels), torch.tensor(topics) if course.topics else None, torch.tensor(weights), taught
    )


def _weights(course: Course, prompts: Sequence[LabelledPrompt]) -> list[float]:
    weights = source_weights(prompts, course.recipe.source_weights)
    return balanced_over_labels(prompts, weights) if course.recipe.balance_labels else weights


def _shares(groups: Sequence[str], right: Sequence[bool]) -> dict[str, float]:
    """Return the share that is right in every group large enough to say, in the order of the names."""
    members: dict[str, list[bool]] = {}
    for group, one in zip(groups, right, strict=True):
        members.setdefault(group, []).append(one)
    return {
        group: round(sum(ones) / len(ones), 4) for group, ones in sorted(members.items()) if len(ones) >= SMALLEST_GROUP
    }


def _rng(course: Course, epoch: int) -> random.Random:
    return random.Random(_seed(course, epoch))  # noqa: S311 - repeatable, nothing secret


def _seed(course: Course, epoch: int) -> int:
    return course.recipe.seed * 1000 + epoch
