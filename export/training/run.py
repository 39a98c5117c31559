"""One training run from files to a bundle: read, choose a start, train, calibrate, export."""

import random
from pathlib import Path
from typing import Any, cast

import msgspec
import torch

from export.bundle.bundling import BundleOptions, build_bundle, write_bundle_file
from export.bundle.check_prompts import GATE_PROMPTS
from export.bundle.checkpoints import CONFIG_FILE, Checkpoint, locate_checkpoint
from export.bundle.variants import Precision
from export.calibration.temperature import fit_temperature
from export.classifier.inference import open_classifier
from export.encoders.small_classifier import SmallShape
from export.errors import CheckpointUnavailable
from export.evaluation.dress_gate import FIGURE, measure_dress
from export.training.start import CHECKPOINT_FOLDER, TOPIC_FOLDER, load_base, locate_base
from routing_policy.bundle import Bundle

from .course import (
    Course,
    Pass,
    Recipe,
    Student,
    Teacher,
    accuracies,
    fine_tune_teacher,
    fit,
    new_student,
    of_task,
    save_checkpoint,
    score,
    topics_as_labels,
)
from .data import hold_out, read_prompts, sources_by_licence, without_guide, write_prompts
from .loop import Report, Schedule
from .networks import StudentNetwork
from .report import Measured, report_on_bundle, score_before

BUNDLE_FOLDER = "bundle"
BASE_FOLDER = "base"  # in the output folder; the weights of a bundle to start from
DEV_FILE, UNSEEN_FILE = "dev.jsonl", "unseen.jsonl"  # what was not trained on, for `semrouter eval`
NEW_RATE = 1e-3
FINE_TUNING_RATE = 5e-5
DEV_SHARE = 10  # one prompt in ten, where no dev file is given


class TrainingRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line asks for."""

    data: tuple[Path, ...]
    output: Path
    dev: Path | None = None
    label_field: str = "label"
    topic_field: str | None = None
    topics: list[str] | None = None
    labels: list[str] | None = None
    base: str | None = None
    init_embeddings: Path | None = None
    teacher: Path | None = None
    source_weights: dict[str, float] = {}
    hold_out: tuple[str, ...] = ()
    balance_labels: bool = False
    layers: int = SmallShape().layers
    hidden: int = SmallShape().hidden
    vocabulary: int = 12_000
    epochs: int = 4
    prompts_per_epoch: int | None = None
    learning_rate: float | None = None
    precision: Precision = "int8"
    pairs: bool = True
    temperature: float | None = None
    topic_temperature: float | None = None
    seed: int = 1
    threads: int | None = None


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    """A trained classifier of one task, where it goes, the temperature asked for, and what it is judged on."""

    course: Course
    student: Student
    output: Path
    temperature: float | None
    measured: list[Measured]


def run_training(request: TrainingRequest, report: Report) -> Bundle:
    """Train as asked; write `output`/checkpoint, `output`/bundle and the report on it.

    Raises ExportError before any work where the data or a folder cannot be used.
    """
    _check_folders(request)
    course = _plan(request)
    base = None if request.base is None else locate_base(request.base, unpacked=request.output / BASE_FOLDER)
    torch.set_num_threads(request.threads or torch.get_num_threads())
    report(f"{len(course.prompts)} prompts to train on, {len(course.dev)} to stop by; labels {course.labels}")
    student, measured = _start(request, course, base, report)
    course = _within_limit(course, student)
    teacher = None if request.teacher is None else fine_tune_teacher(course, request.teacher, report)
    passes = fit(course, student, teacher, report)
    finished = _finished(request, course, student, measured)
    for each in finished:
        save_checkpoint(each.student, each.output / CHECKPOINT_FOLDER)
    learned = _figures(course, passes) | {"base": base and base.source}
    bundles = [_ship(request, each, learned | _group_figures(each, teacher, report), report) for each in finished]
    return bundles[0]


def _finished(request: TrainingRequest, course: Course, student: Student, measured: list[Measured]) -> list[Finished]:
    """Return the classifier of labels and, where topics were learned beside them, that of topics."""
    labels = Finished(
        course=course,
        student=of_task(course, student, "labels"),
        output=request.output,
        temperature=request.temperature,
        measured=measured,
    )
    if not course.topics:
        return [labels]
    seen_from_topics, folder = topics_as_labels(course), request.output / TOPIC_FOLDER
    topics = Finished(
        course=seen_from_topics,
        student=of_task(course, student, "topics"),
        output=folder,
        temperature=request.topic_temperature,
        measured=_measured(folder, seen_from_topics),
    )
    return [labels, topics]


def _ship(request: TrainingRequest, finished: Finished, figures: dict[str, Any], report: Report) -> Bundle:
    """Write the bundle of one task and the reports on it."""
    report("exporting the checkpoint and checking the graph against it")
    bundle = _with_dress(_bundle(request, finished, figures), finished.output / BUNDLE_FOLDER)
    report(f"evaluating the bundle; temperature {bundle.temperature}")
    for each in finished.measured:
        write_prompts(each.prompts, each.file)
        report_on_bundle(finished.output / BUNDLE_FOLDER, finished.course, each, report)
    return bundle


def _with_dress(bundle: Bundle, folder: Path) -> Bundle:
    """Write into bundle.json how often a dress flips it, which an installation measures again."""
    found = measure_dress(open_classifier(folder))
    if found is None:
        return bundle
    bundle = msgspec.structs.replace(bundle, figures=bundle.figures | {FIGURE: msgspec.to_builtins(found)})
    write_bundle_file(folder, bundle)
    return bundle


def _check_folders(request: TrainingRequest) -> None:
    if (request.base is None) == (request.init_embeddings is None):
        raise CheckpointUnavailable("train", "expected either --base or --init-embeddings, to start from")
    for folder in (request.init_embeddings, request.teacher):
        if folder is not None and not (folder / CONFIG_FILE).is_file():
            raise CheckpointUnavailable(str(folder), f"expected a Hugging Face model folder with a {CONFIG_FILE}")


def _start(
    request: TrainingRequest, course: Course, base: Checkpoint | None, report: Report
) -> tuple[Student, list[Measured]]:
    """Return what is trained, and what to measure it on, with its scores there from before if it knows the labels."""
    measured = _measured(request.output, course)
    if base is None:
        return new_student(course, cast("Path", request.init_embeddings)), measured  # `_check_folders` saw it
    loaded = load_base(base.directory, course.labels, course.topics)
    if not loaded.has_labels:
        report(f"{request.base} chose among other labels so far, so there is no before and after")
        return loaded.student, measured
    return loaded.student, [
        msgspec.structs.replace(each, before=score_before(course, loaded.student, each.prompts)) for each in measured
    ]


def _within_limit(course: Course, student: Student) -> Course:
    """Return the course with prompts no longer than the classifier can read."""
    longest = min(course.recipe.max_tokens, student.classifier.config.max_position_embeddings)
    return msgspec.structs.replace(course, recipe=msgspec.structs.replace(course.recipe, max_tokens=longest))


def _measured(output: Path, course: Course) -> list[Measured]:
    dev = Measured(
        prompts=course.dev,
        file=output / DEV_FILE,
        evaluation=output / "evaluation.json",
        page=output / "report.html",
        note=", which also chose the epoch and the temperature",
    )
    unseen = Measured(
        prompts=course.unseen,
        file=output / UNSEEN_FILE,
        evaluation=output / "evaluation-unseen.json",
        page=output / "report-unseen.html",
    )
    return [dev, unseen] if course.unseen else [dev]


def _plan(request: TrainingRequest) -> Course:
    """Read the data, leaving the guide's examples out, and choose the recipe."""
    prompts = [
        prompt
        for file in request.data
        for prompt in read_prompts(file, request.label_field, request.topic_field, request.labels)
    ]
    if request.dev is None:
        random.Random(request.seed).shuffle(prompts)  # noqa: S311 - repeatable, nothing secret
        held = max(len(prompts) // DEV_SHARE, 1)
        prompts, dev = prompts[held:], prompts[:held]
    else:
        known = request.labels or sorted({prompt.label for prompt in prompts})
        dev = read_prompts(request.dev, request.label_field, request.topic_field, known)
    prompts, unseen = hold_out(without_guide(prompts), request.hold_out)
    return Course(
        prompts=prompts,
        dev=hold_out(without_guide(dev), request.hold_out)[0],
        unseen=unseen,
        labels=request.labels or sorted({prompt.label for prompt in prompts}),
        topics=request.topics or sorted({prompt.topic for prompt in prompts if prompt.topic is not None}),
        recipe=_recipe(request),
    )


def _recipe(request: TrainingRequest) -> Recipe:
    rate = request.learning_rate or (NEW_RATE if request.base is None else FINE_TUNING_RATE)
    return Recipe(
        epochs=request.epochs,
        seed=request.seed,
        prompts_per_epoch=request.prompts_per_epoch,
        source_weights=request.source_weights,
        balance_labels=request.balance_labels,
        pairs=request.pairs,
        vocabulary=request.vocabulary,
        shape=SmallShape(layers=request.layers, hidden=request.hidden),
        schedule=Schedule(learning_rate=rate),
    )


def _group_figures(finished: Finished, teacher: Teacher | None, report: Report) -> dict[str, Any]:
    """Return how the classifier does on dev, and how it and the teacher of its labels do on the sources held out."""
    course, student = finished.course, finished.student
    network = StudentNetwork(student.classifier, len(course.labels))
    figures: dict[str, Any] = {"dev": accuracies(course, network, student.tokenizer, course.dev)}
    if not course.unseen:
        return figures
    unseen = {"classifier": accuracies(course, network, student.tokenizer, course.unseen)}
    if teacher is not None and teacher.labels == course.labels:
        unseen["teacher"] = accuracies(course, teacher.network, teacher.tokenizer, course.unseen)
    for name, found in unseen.items():
        report(f"{name} on {len(course.unseen)} prompts of sources held out: {found}")
    return figures | {"unseen_sources": unseen}


def _temperature(finished: Finished) -> float:
    """Return the one asked for, or the best on sources held out; without any, on dev, which flatters."""
    if finished.temperature is not None:
        return finished.temperature
    course, student = finished.course, finished.student
    network = StudentNetwork(student.classifier, len(course.labels))
    logits, labels = score(course, network, student.tokenizer, course.unseen or course.dev)
    return round(fit_temperature(logits.numpy(), labels.numpy()), 4)


def _bundle(request: TrainingRequest, finished: Finished, figures: dict[str, Any]) -> Bundle:
    options = BundleOptions(
        precision=request.precision,
        temperature=_temperature(finished),
        prompts=[prompt.text for prompt in finished.course.dev[:GATE_PROMPTS]],
        figures={"training": figures},
    )
    checkpoint = locate_checkpoint(str(finished.output / CHECKPOINT_FOLDER))
    return build_bundle(checkpoint, finished.output / BUNDLE_FOLDER, options)


def _figures(course: Course, passes: list[Pass]) -> dict[str, Any]:
    return {
        "prompts": len(course.prompts),
        "sources_by_licence": sources_by_licence(course.prompts),
        "dev_prompts": len(course.dev),
        "held_out_sources": sorted({prompt.source for prompt in course.unseen}),
        "dev_accuracy_by_epoch": [round(one.accuracy, 4) for one in passes],
        "recipe": msgspec.to_builtins(course.recipe),
    }
