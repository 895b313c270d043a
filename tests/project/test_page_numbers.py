"""Numbers on the pages are those of the runs, from make_gallery.py and make_comparing.py in docs/figures."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FIGURES = ROOT / "docs" / "figures"
GALLERY = json.loads((FIGURES / "gallery.json").read_text(encoding="utf-8"))
PHRASES = [(name, page, phrase) for name, found in GALLERY.items() for page, phrase in found]


COMPARING = (ROOT / "docs" / "comparing.md").read_text(encoding="utf-8")


def loaded(name):
    spec = importlib.util.spec_from_file_location(name, FIGURES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look there for the module of a class
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def page_numbers():
    """The module that the commands use, which is not part of a package."""
    yield loaded("page_numbers")
    del sys.modules["page_numbers"]


@pytest.mark.parametrize(("name", "page", "phrase"), PHRASES, ids=[f"{i}" for i in range(len(PHRASES))])
def test_the_page_has_the_numbers_of_the_run(name, page, phrase, page_numbers):
    assert page_numbers.has((ROOT / "docs" / page).read_text(encoding="utf-8"), name, phrase), phrase


def test_every_script_of_the_gallery_has_numbers():
    assert {path.stem for path in (ROOT / "examples").glob("*.py")} | {"four_parameters"} == set(GALLERY)


PAGE = """# Page

See wave.py.

## One

[wave.py](../examples/wave.py): the run takes 1,234 calls, and
log Z is -1.5 ± 0.1 (true: 2).

- A list
  with 3 calls.

## Two

[other.py](../examples/other.py): log Z is -1.5 ± 0.1 (true: 2).
"""


def test_new_numbers_replace_those_of_the_section_alone(page_numbers):
    phrase = "calls, and log Z is -12.25 ± 0.03 (true: 2)."
    assert not page_numbers.has(PAGE, "wave", phrase)
    page = page_numbers.replaced(PAGE, "wave", phrase)
    assert (
        page_numbers.has(page, "wave", phrase) and "[other.py](../examples/other.py): log Z is -1.5" in page
    )
    assert page_numbers.replaced(page, "wave", phrase) == page
    assert "1,234 calls, and log Z" in page and "- A list\n  with 3 calls." in page


def test_a_phrase_that_the_page_lacks_is_named(page_numbers):
    with pytest.raises(ValueError, match="section of wave: expected 'chi-squared is 3', got no such phrase"):
        page_numbers.replaced(PAGE, "wave", "chi-squared is 3")


def test_an_output_without_the_number_is_an_error(page_numbers):
    facts = [page_numbers.Fact(r"log Z #", lambda z: f"log Z is {z:.1f}")]
    assert page_numbers.phrases(facts, "after 3 s: log Z -1,234.56") == [["gallery.md", "log Z is -1234.6"]]
    with pytest.raises(ValueError, match="expected 'log Z #', which is not in it"):
        page_numbers.phrases(facts, "failed")


def test_the_comparison_has_the_numbers_of_its_runs():
    make = loaded("make_comparing")
    known = json.loads((FIGURES / "comparing.json").read_text())
    assert make.with_table(COMPARING, known) == COMPARING


def test_new_runs_replace_their_row_and_the_shares_below():
    make = loaded("make_comparing")
    known = json.loads((FIGURES / "comparing.json").read_text())
    known["linear"]["nbi"] |= {"calls": 10_000.0, "ess": 2500.0}
    page = make.with_table(COMPARING, known)
    assert "| linear | nbi | 10,000 | 2,500 | 4.00 |" in page
    assert len(page.splitlines()) == len(COMPARING.splitlines())
    assert "which returns 78 % as" in page
    assert sum(a != b for a, b in zip(page.splitlines(), COMPARING.splitlines(), strict=True)) == 2


def table(head):
    """Cells of the rows of the table of docs/comparing.md whose first line begins like this."""
    text = COMPARING[COMPARING.index(head) :].split("\n\n")[0]
    return [re.split(r"\s*\|\s*", line)[1:-1] for line in text.splitlines()[2:]]


def number(cell):
    return float(cell.strip("*").split(" ")[0].replace(",", ""))


def test_ratios_follow_from_their_columns_and_unmet_requirements_are_bold():
    calls = table("| problem | nautilus: calls per ESS (ESS)")
    missed = 0
    for row in calls[:-1]:
        theirs = number(row[1])
        for ours, ratio in ((row[3], row[4]), (row[5], row[6])):
            assert number(ratio) == pytest.approx(number(ours) / theirs, abs=0.0051 + 0.01 / theirs)
        assert row[4].startswith("**") == (number(row[4]) > 0.5)
        missed += row[4].startswith("**")
    assert (missed, len(calls)) == (7, 11)
    assert "seven of eleven problems miss" in " ".join(COMPARING.split())
    seconds = table("| problem | nautilus / s | dynesty / s |")
    for row in seconds[:-3] + seconds[-2:-1]:
        nautilus, dynesty, ours = map(number, row[1:4])
        assert number(row[4]) == pytest.approx(ours / nautilus, rel=0.08, abs=0.02)
        assert number(row[7]) == pytest.approx(ours / dynesty, rel=0.15, abs=0.02)
        assert row[7].startswith("**") == (number(row[7]) > 0.1)
