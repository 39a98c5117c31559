"""The walls of the house: which folder may import which, and that no import goes round in a circle."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT

PACKAGES = ("benchmarks", "docker", "local", "export", "router_proxy")
# Top to bottom: each may import only what stands further down in its line.
FLOORS = {
    "": "benchmarks docker local export router_proxy routing_policy",
    "router_proxy": "commands server workers clients app other_paths chat opening reloading gateway background routing "
    "forwarding admission backlog record upstreams configuration request errors outcomes",
    "export": "commands training encoders calibration outcomes labelling bundle repository evaluation classifier "
    "recipe pages command_errors errors",
    "local": "cli policy logs stack errors",
    "benchmarks": "__main__ capacity batcher_stalls gpu_serving card rows instruments table errors",
}


def modules_of(package: str) -> dict[str, set[str]]:
    """Return each module of a package and the modules of this project that it imports."""
    files = [file for file in (CHECKOUT / package).rglob("*.py") if "designs" not in file.parts]
    return {_name(file.relative_to(CHECKOUT)): set(_imports(file)) for file in files}


@pytest.mark.parametrize("package", FLOORS)
def test_imports_point_downwards(package: str) -> None:
    floors = FLOORS[package].split()
    depth = len(package.split(".")) if package else 0

    upwards = [
        f"{module} imports {imported}"
        for module, imports in modules_of_all().items()
        for imported in imports
        if _is_upwards(module, imported, package, floors, depth)
    ]
    assert upwards == []


def test_no_imports_form_a_circle() -> None:
    try:
        TopologicalSorter(modules_of_all()).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_each_folder_says_what_is_in_it() -> None:
    folders = {file.parent for package in PACKAGES[2:] for file in (CHECKOUT / package).rglob("*.py")}
    rooms = {folder for folder in folders if "backends" not in folder.parts}
    assert [room for room in rooms if not ast.get_docstring(ast.parse((room / "__init__.py").read_text()))] == []


def modules_of_all() -> dict[str, set[str]]:
    return {module: imports for package in PACKAGES for module, imports in modules_of(package).items()}


def _is_upwards(module: str, imported: str, package: str, floors: list[str], depth: int) -> bool:
    above, below = module.split("."), imported.split(".")
    if package and (above[0] != package or below[0] != package):
        return False
    if len(above) <= depth or len(below) <= depth or above[depth] == below[depth]:
        return False
    return floors.index(below[depth]) < floors.index(above[depth])


def _name(file: Path) -> str:
    return ".".join(file.with_suffix("").parts).removesuffix(".__init__")


def _imports(file: Path) -> list[str]:
    """Return what a file imports at any depth, as full module names of this project."""
    package = file.relative_to(CHECKOUT).parent.parts
    found = []
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*start, *([node.module] if node.module else [])))
            found += [f"{module}.{alias.name}" if _is_folder(module) else module for alias in node.names]
    return [module for module in found if module.split(".")[0] in FLOORS[""].split()]


def _is_folder(module: str) -> bool:
    return (CHECKOUT / module.replace(".", "/")).is_dir()
