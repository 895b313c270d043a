"""Conventions of the code that no linter knows: how docstrings begin, and where constants stand."""

from __future__ import annotations

import ast
import fnmatch
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "nbi_sampler"
SOURCES = [
    path
    for folder in ("nbi_sampler", "plugins", "docs", "examples")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if not {"tests", "build", "dist"} & set(path.relative_to(ROOT).parts)
]
BEGINS_BADLY = re.compile(r"(What|Whether|Where|How|When|Which|Who)\b")
CALLER = re.compile(r"\b[Cc]alled by `")
# Words that only this project ever understood, and files in which former files and arguments need them.
JARGON = re.compile(
    r"(?<![a-z])(committee|scouts?|frontier|climb|familiar\w*|focused|weighing|layout of|doubted|anew"
    r"|dead.weight|paid for|all but miss)",
    re.IGNORECASE,
)
FORMER = {
    "docs/amortised.md": {"focused"},
    "nbi_sampler/algorithm/mode_search.py": {"climb"},
    "nbi_sampler/algorithm/records.py": {"climb"},
    "nbi_sampler/amortised/engine.py": {"focused"},
    "nbi_sampler/amortised/saving.py": {"focused"},
    "nbi_sampler/core/former_names.py": {"familiarity"},
    "nbi_sampler/reports/diagnostics/page.py": {"familiarity"},
    "nbi_sampler/storage/checkpoint.py": {"doubted"},
    "nbi_sampler/storage/checks.py": {"familiarity", "focused"},
}
PROSE = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]

# Numbers in upper case that may stand outside `core/config/`, by file and name, each with the reason: none of
# them steers a result.
ALLOWED = {
    "algorithm/first_draws.py:EDGE": "guard: no quantile at the edge, whose coordinate is infinite",
    "algorithm/search_starts.py:RIDGE": "guard against rounding",
    "algorithm/proposals/*:CHUNK*": "blocks of memory",
    "algorithm/proposals/*:FARTHEST": "guard: finite in place of infinity",
    "algorithm/proposals/local_regression.py:LOWEST": "guard: finite in place of minus infinity",
    "algorithm/proposals/kernels.py:SMALLEST": "guard: ends of the open unit interval",
    "algorithm/proposals/kernels.py:LARGEST": "guard: ends of the open unit interval",
    "algorithm/proposals/periodic.py:SMALLEST": "guard against rounding",
    "algorithm/proposals/student_mixture.py:CACHED": "blocks of memory",
    "algorithm/records.py:QUANTILES": "what tables and plots show",
    "amortised/*:ROWS_AT_ONCE": "blocks of memory",
    "amortised/diagnosing.py:TARGETS_AT_ONCE": "blocks of memory",
    "amortised/inference.py:MOST_NUMBERS": "blocks of memory",
    "amortised/inference.py:MOST_[NS]*": "lengths of a printed summary",
    "amortised/original_nbi.py:REFUSED": "defaults of another package",
    "amortised/saving.py:FORMAT_VERSION": "version of a file format",
    "amortised/training_checkpoint.py:FORMAT_VERSION": "version of a file format",
    "amortised/sequential.py:UNREACHED": "a target that is never reached",
    "amortised/sequential.py:NONE_AT_ALL": "a target that is reached at once",
    "forward/*:_NORMAL_MAD": "a constant of the normal law",
    "forward/draws.py:_MOST_COUNTS": "guard: largest count that torch draws",
    "forward/*:_SMALLEST": "guard against a logarithm of zero",
    "importance/weights.py:LEAST_EXPONENT": "guard against underflow",
    "priors/*:*N_BISECTIONS": "guard: to the last digit",
    "priors/*:UNIT_M*": "guard: ends of the open unit interval",
    "priors/constraints.py:CHUNK": "blocks of memory",
    "priors/constraints.py:N_TRIED": "guard: calls of a conversion that show what it returns",
    "reports/model_fit.py:MOST_NUMBERS_AT_ONCE": "blocks of memory",
    "reports/model_fit.py:SMALLEST_SHOWN": "what messages show",
    "priors/discrete.py:ROUNDING": "guard against rounding",
    "priors/discrete.py:SMALLEST_QUANTILE": "guard: ends of the open unit interval",
    "priors/tails.py:*": "guards against overflow and underflow",
    "cli.py:NARROWEST": "looks of a table",
    **{
        f"evaluation/{name}.py:*": "waiting times and sizes of what is handed out, on which no result depends"
        for name in ("dispatch", "pools", "worker_process")
    },
    "reports/plots/*": "looks of plots",
    "reports/html/*": "looks of a page",
    "reports/diagnostics/local.py:ROWS_AT_ONCE": "blocks of memory",
    "reports/diagnostics/diagnosis_page.py:PANEL": "looks of a page",
    "reports/diagnostics/panels.py:MOST_IN_LEGEND": "looks of plots",
    "reports/outlook.py:STAGES": "numbers of stages that people read",
    "reports/run_progress.py:NONE_COUNTS": "numbers of stages that people read",
    "reports/progress.py:SECONDS_BETWEEN_LINES": "seconds of the user interface",
    "reports/meta_data.py:LARGEST_INTEGER": "what HDF5 can hold",
    "reports/result.py:N_COMPARED": "guard: rows by which a prior's own vectorisation is checked",
    "sampler/keywords.py:DEFAULTS": "defaults of bilby's keywords, none of them a number of the algorithm",
    "sampler/signals.py:LONG_CALL": "seconds of the user interface",
    "sampler/signals.py:SECOND_SIGNAL": "seconds of the user interface",
    "sampler/survey/table.py:*_BYTES": "byte widths of a file format",
    "storage/*": "byte widths, format versions and waiting times of files",
    "evaluation/evaluator.py:CHEAPEST": "cost from which draws are handed out; no result depends on it",
    "evaluation/evaluator.py:SECONDS_BETWEEN_REPORTS": "seconds of the user interface",
}


def docstrings_of(path):
    """Docstrings of a file, with the lines at which they begin."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield node.body[0].lineno, text


def numbers_of(path):
    """Names in upper case to which the top level of a file gives a value that holds a number."""
    for node in ast.parse(path.read_text()).body:
        if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        values = [each.value for each in ast.walk(node.value) if isinstance(each, ast.Constant)]
        if any(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
            names = [each.id for target in targets for each in ast.walk(target) if hasattr(each, "id")]
            yield from (name for name in names if re.fullmatch(r"_?[A-Z][A-Z0-9_]*", name))


def allowed_by(path, name):
    constant = f"{path.relative_to(PACKAGE).as_posix()}:{name}"
    return [pattern for pattern in ALLOWED if fnmatch.fnmatchcase(constant, pattern)]


CONSTANTS = [
    (path, name)
    for path in SOURCES
    if path.is_relative_to(PACKAGE) and not path.is_relative_to(PACKAGE / "core" / "config")
    for name in numbers_of(path)
]


@pytest.mark.takes_seconds
def test_docstrings_begin_with_the_thing_itself():
    """With a noun or a verb: "Return whether ...", not "Whether ..."."""
    bad = [
        f"{path.relative_to(ROOT)}:{line}: {text.splitlines()[0]}"
        for path in SOURCES
        for line, text in docstrings_of(path)
        if BEGINS_BADLY.match(text)
    ]
    assert not bad, "\n".join(bad)


def test_no_docstring_says_who_calls():
    """Nothing ensures that it stays true."""
    bad = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in SOURCES
        for line, text in docstrings_of(path)
        if CALLER.search(" ".join(text.split()))
    ]
    assert not bad, "\n".join(bad)


@pytest.mark.parametrize("path", [*PROSE, *SOURCES], ids=lambda path: path.name)
def test_no_private_words(path):
    found = {each.lower() for each in JARGON.findall(path.read_text())}
    assert found == FORMER.get(path.relative_to(ROOT).as_posix(), set())


def test_numbers_that_steer_results_stand_in_the_configuration():
    astray = [f"{path.relative_to(ROOT)}: {name}" for path, name in CONSTANTS if not allowed_by(path, name)]
    assert not astray, "move these to nbi_sampler/core/config/, or say in ALLOWED why not:\n" + "\n".join(
        astray
    )


def test_every_exception_is_needed_and_has_a_reason():
    used = {pattern for path, name in CONSTANTS for pattern in allowed_by(path, name)}
    assert used == set(ALLOWED) and all(ALLOWED.values())


def test_the_checks_see_what_they_look_for(tmp_path):
    path = tmp_path / "one.py"
    docstring = '"""Whether it is.\n\nCalled\nby `x`. A committee."""'
    path.write_text(f'{docstring}\nMOST, _LEAST = 3, 1e-3\nNAME = "a"\nON = True\n')
    assert list(numbers_of(path)) == ["MOST", "_LEAST"]
    ((line, text),) = docstrings_of(path)
    assert line == 1 and BEGINS_BADLY.match(text) and CALLER.search(" ".join(text.split()))
    assert JARGON.findall(text) == ["committee"]
