"""docs/architecture.md is true: it names every room, and imports point as it says; no file is long."""

from __future__ import annotations

import ast
import graphlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "nbi_sampler"
PAGE = (ROOT / "docs" / "architecture.md").read_text()
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.split("\n## The rooms\n")[1].split("\n## ")[0].splitlines()
    if line.startswith("| `")
]
# Files and folders by the row of the table that they stand in: 0 is the top of the house.
FLOOR = {name: floor for floor, row in enumerate(ROWS) for name in re.findall(r"`([^`]+)`", row[0])}
SOURCES = [path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"]
# Everything that people write, but not what a build has copied.
WRITTEN = [
    path
    for folder in ("nbi_sampler", "plugins", "tests", "examples")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if not {"build", "dist"} & set(path.relative_to(ROOT).parts)
]

# Means, not ends: a concept that needs more lines than a file of 250 may have them, up to here.
MOST_LINES = 450
MOST_LINES_OF_A_FUNCTION = 60


def name_of(path):
    return str(path.relative_to(PACKAGE if path.is_relative_to(PACKAGE) else ROOT))


def room_of(path):
    """A file has the room that its own name stands in, or else that of its folder."""
    own = name_of(path)
    return own if own in FLOOR else f"{path.relative_to(PACKAGE).parts[0]}/"


def imports_of(path):
    """Names of modules that a file imports, in functions too, but not for annotations alone."""
    tree = ast.parse(path.read_text())
    annotations = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    package = path.relative_to(ROOT).with_suffix("").parts
    for node in (node for node in ast.walk(tree) if id(node) not in annotations):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parent = ".".join(package[: -node.level]) if node.level else ""
            module = ".".join(filter(None, (parent, node.module)))
            yield from (f"{module}.{alias.name}" for alias in node.names)


def file_of(name):
    """Source file that an imported name comes from; None for other packages and for the top of this one."""
    parts = name.split(".")
    while len(parts) > 1 and parts[0] == "nbi_sampler":
        path = PACKAGE.joinpath(*parts[1:])
        for candidate in (path.with_suffix(".py"), path / "__init__.py"):
            if candidate.exists():
                return candidate
        parts.pop()
    return None


GRAPH = {path: {file_of(name) for name in imports_of(path)} - {None, path} for path in SOURCES}


def test_every_file_has_a_room_and_every_room_exists():
    assert {room_of(path) for path in SOURCES} == set(FLOOR)
    assert not [name for name in FLOOR if not (PACKAGE / name).exists()]


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_imports_point_downwards(path):
    own = FLOOR[room_of(path)]
    assert not [name_of(target) for target in GRAPH[path] if FLOOR[room_of(target)] < own]


def test_no_two_files_import_each_other():
    assert len(tuple(graphlib.TopologicalSorter(GRAPH).static_order())) == len(SOURCES)


@pytest.mark.parametrize(
    "knows, forbidden", [("arrays only", {"torch", "bilby"}), ("nothing of bilby", {"bilby"})]
)
def test_rooms_know_no_more_than_the_page_says(knows, forbidden):
    rooms = {floor for floor, row in enumerate(ROWS) if row[2] == knows}
    paths = [path for path in SOURCES if FLOOR[room_of(path)] in rooms]
    assert len(paths) > 1
    for path in paths:
        assert not {name.split(".")[0] for name in imports_of(path)} & forbidden, name_of(path)


def test_the_picture_shows_rooms_that_exist():
    picture = PAGE.split("```mermaid")[1].split("```")[0]
    drawn = re.findall(r"[\w/]+(?:\.py\b|/(?=<|\"))", picture)
    assert len(drawn) > 10
    assert not [name for name in drawn if not (PACKAGE / name).exists()]


def test_files_can_be_read_in_one_sitting():
    long = {name_of(path): n for path in WRITTEN if (n := len(path.read_text().splitlines())) > MOST_LINES}
    assert not long, f"{MOST_LINES} lines at most: split these by concept"


def functions_of(path):
    """Each function of a file and its number of lines, decorators and docstrings left out."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = node.body[0] if ast.get_docstring(node) else None
            described = docstring.end_lineno - docstring.lineno + 1 if docstring else 0
            yield node.name, node.end_lineno - node.lineno + 1 - described


def test_functions_fit_on_a_screen():
    """Without their docstrings, which grow with what there is to explain."""
    functions = [(name_of(path), *each) for path in WRITTEN for each in functions_of(path)]
    assert not [each for each in functions if each[2] > MOST_LINES_OF_A_FUNCTION]


def test_lines_of_functions_are_counted_without_their_docstrings(tmp_path):
    path = tmp_path / "one.py"
    path.write_text('def one():\n    """Two\n    lines."""\n    return 1\n')
    assert list(functions_of(path)) == [("one", 2)]
