"""Which line of a YAML file a path such as `$.rules[2].when_any[0].min_conf` stands on."""

import re

import yaml


def line_of(data: bytes, path: str, reason: str) -> int:
    """Return the line to show for an error at `path`, counted from 1; the nearest parent's where the path ends early.

    YAML that cannot be read has no paths: then the line that `reason`, PyYAML's own message, names last.
    """
    if reason.startswith(("is not valid YAML", "cannot be read", "is empty")):
        return int((re.findall(r"line (\d+)", reason) or [1])[-1])
    node = yaml.compose(data, Loader=yaml.SafeLoader)
    if node is None:
        return 1
    if unknown := re.search(r"unknown field (\S+)$", reason):
        path = f"{path}.{unknown[1]}"
    return _line(node, path.removeprefix("$")) + 1


def _line(node: yaml.Node, path: str) -> int:
    line = node.start_mark.line
    while step := _step(node, path):
        line, node, path = step
    return int(line)


def _step(node: yaml.Node, path: str) -> tuple[int, yaml.Node, str] | None:
    """Go one key or index down: the line it stands on, the node there, and the rest of the path."""
    if isinstance(node, yaml.MappingNode) and path.startswith("."):
        for key, value in sorted(node.value, key=lambda item: -len(item[0].value)):  # keys may hold dots themselves
            rest = path[1:].removeprefix(key.value)
            if path[1:].startswith(key.value) and rest[:1] in {"", ".", "["}:
                return key.start_mark.line, value, rest
    if isinstance(node, yaml.SequenceNode) and (index := re.match(r"\[(\d+)\]", path)):
        item = node.value[int(index[1])]
        return item.start_mark.line, item, path[index.end() :]
    return None
