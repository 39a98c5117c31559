"""Change single values in a policy's YAML text and leave every other character, comments included, as it was."""

import difflib
from collections.abc import Sequence

import yaml

Path = tuple[str | int, ...]


def with_values(text: str, paths: Sequence[Path], value: float) -> str:
    """Return `text` with `value` at each of `paths`; a missing top-level key is added at the end of its block."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    found = [(path, _find(root, path)) for path in paths]
    for _, node in sorted(found, key=lambda pair: pair[1].start_mark.index if pair[1] else -1, reverse=True):
        if node is not None:
            text = f"{text[: node.start_mark.index]}{value:g}{text[node.end_mark.index :]}"
    missing = [path for path, node in found if node is None]
    return _with_new_keys(text, missing, value)


def unified_diff(before: str, after: str, file: str) -> str:
    lines = difflib.unified_diff(before.splitlines(keepends=True), after.splitlines(keepends=True), file, file)
    return "".join(lines)


def _find(node: yaml.Node | None, path: Path) -> yaml.Node | None:
    for step in path:
        if isinstance(node, yaml.MappingNode):
            node = next((value for key, value in node.value if key.value == step), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int):
            node = node.value[step]
        else:
            return None
    return node


def _with_new_keys(text: str, paths: Sequence[Path], value: float) -> str:
    """Add the keys right after `threshold_min_conf`, which every policy has and which they belong beside."""
    for (key,) in paths:
        lines = text.splitlines(keepends=True)
        place = next(index for index, line in enumerate(lines) if line.startswith("threshold_min_conf"))
        lines.insert(place + 1, f"{key}: {value:g}\n")
        text = "".join(lines)
    return text
