"""docs/architecture.md is true: its table has every layer, and imports point down it; no file is long."""

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
    for line in PAGE.split("\n## The layers\n")[1].split("\n## ")[0].splitlines()
    if line.startswith("| `")
]
# Layers by their names, 0 at the top: a folder, or a file beside the folders.
LAYERS = {row[0].strip("`").rstrip("/"): level for level, row in enumerate(ROWS)}
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
MOST_FOLDERS = 12


def name_of(path):
    return str(path.relative_to(PACKAGE if path.is_relative_to(PACKAGE) else ROOT))


def layer_of(path):
    return path.relative_to(PACKAGE).parts[0]


def imports_of(path):
    """Names of modules that a file imports when it runs, in functions and as strings too."""
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
        elif (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and re.fullmatch(r"\w+(\.\w+)+", node.value)
        ):
            # Names of modules may be written without that of the package.
            yield f"nbi_sampler.{node.value.removeprefix('nbi_sampler.')}"


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


def test_every_layer_is_in_the_table_and_there_are_no_more_than_twelve_folders():
    assert {layer_of(path) for path in SOURCES} == set(LAYERS)
    folders = [name for name in LAYERS if not name.endswith(".py")]
    assert len(folders) <= MOST_FOLDERS
    assert {path.name for path in PACKAGE.iterdir() if any(path.rglob("*.py"))} == set(folders)


def test_no_layer_imports_from_one_above_it():
    upwards = [
        f"{name_of(path)} imports {name_of(target)}"
        for path in SOURCES
        for target in GRAPH[path]
        if LAYERS[layer_of(target)] < LAYERS[layer_of(path)]
    ]
    assert not upwards, "move what these need down, or hand it over as an argument:\n" + "\n".join(upwards)


def test_no_two_files_import_each_other():
    assert len(tuple(graphlib.TopologicalSorter(GRAPH).static_order())) == len(SOURCES)


@pytest.mark.parametrize(
    "layer, forbidden",
    [
        ("importance", {"torch", "bilby", "matplotlib", "h5py"}),
        ("algorithm", {"bilby", "matplotlib", "h5py", "zipfile"}),
        ("networks", {"bilby", "matplotlib", "h5py"}),
        ("plugins", {"torch", "bilby", "matplotlib", "h5py"}),
        ("core", {"bilby", "matplotlib", "h5py"}),
    ],
)
def test_layers_know_no_more_than_the_page_says(layer, forbidden):
    for path in (path for path in SOURCES if layer_of(path) == layer):
        assert not {name.split(".")[0] for name in imports_of(path)} & forbidden, name_of(path)


@pytest.mark.takes_seconds
def test_only_the_sampler_knows_the_sampler_class_of_bilby():
    knowing = {
        layer_of(path) for path in SOURCES for name in imports_of(path) if "bilby.core.sampler" in name
    }
    assert knowing == {"sampler"}


def test_a_folder_of_tests_mirrors_every_layer():
    mirrored = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir()}
    assert {name for name in LAYERS if not name.endswith(".py")} <= mirrored


def test_the_picture_shows_files_that_exist():
    (picture,) = re.findall(r"\((figures/[\w/]+\.svg)\)", PAGE)
    # matplotlib writes each text of a picture as a comment beside its outline.
    texts = "\n".join(re.findall(r"<!-- (.*) -->", (ROOT / "docs" / picture).read_text()))
    drawn = re.findall(r"[\w/]+(?:\.py\b|/(?=,|$))", texts, flags=re.MULTILINE)
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


@pytest.mark.takes_seconds
def test_functions_fit_on_a_screen():
    """Without their docstrings, which grow with what there is to explain."""
    functions = [(name_of(path), *each) for path in WRITTEN for each in functions_of(path)]
    long = [each for each in functions if each[2] > MOST_LINES_OF_A_FUNCTION]
    assert not long, f"{MOST_LINES_OF_A_FUNCTION} lines at most: make functions of the parts of these"


def test_lines_of_functions_are_counted_without_their_docstrings(tmp_path):
    path = tmp_path / "one.py"
    path.write_text('def one():\n    """Two\n    lines."""\n    return 1\n')
    assert list(functions_of(path)) == [("one", 2)]
