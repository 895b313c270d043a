"""The documentation is true: its scripts run, its names exist, and every status is on the page."""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
from pathlib import Path

import pytest

import nbi_sampler
from nbi_sampler.core.config import RELIABILITY
from nbi_sampler.importance.reliability import Status

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.glob("*.md"), *DOCS.glob("reference/*.md"), *ROOT.glob("*.md")])
NAMES = re.compile(r"(?<![\w/.])nbi_sampler(?:\.\w+)+")


def blocks(name):
    return re.findall(r"^```python\n(.*?)^```", (DOCS / name).read_text(), flags=re.DOTALL | re.MULTILINE)


@pytest.fixture
def quick(monkeypatch, tmp_path):
    """`bilby.run_sampler` with a few samples; the verdicts of the runs are collected."""
    import bilby
    import matplotlib

    verdicts, run = [], bilby.run_sampler

    def run_quickly(*args, **kwargs):
        few = {"n_effective": 300, "n_sims": 600, "training": {"n_epochs": 10}}
        result = run(*args, **{**kwargs, **few, "seed": 1, "npool": 1})
        verdicts.append(result.meta_data["nbi"]["status"])
        return result

    matplotlib.use("Agg")
    monkeypatch.setattr(bilby, "run_sampler", run_quickly)
    monkeypatch.chdir(tmp_path)
    return verdicts


@pytest.mark.slow
@pytest.mark.usefixtures("small_fits", "quick_pictures")
@pytest.mark.parametrize("page, n_runs", [("quickstart.md", 2), ("own_likelihood.md", 1), ("choosing.md", 1)])
def test_scripts_run(page, n_runs, quick, capsys):
    names = {}
    for code in blocks(page):
        exec(compile(code, page, "exec"), names)
    assert quick == ["ok"] * n_runs


def test_quickstart_begins_as_the_readme():
    readme = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)[0]
    assert readme.split("result = ")[0] == blocks("quickstart.md")[0].split("result = ")[0]


def test_every_status_is_documented_and_no_other():
    page = (DOCS / "not_ok.md").read_text()
    sections = re.findall(r"^### `(.+)`$", page, flags=re.MULTILINE)
    assert sections == [str(status) for status in Status], "docs/not_ok.md: a section for each, in order"
    table = page.split("| status |")[1].split("\n\n")[0]
    of_a_result = set(Status) - {Status.FAILED, Status.INTERRUPTED}
    rows = set(re.findall(r"^\| `([^`]+)` \|", table, flags=re.MULTILINE))
    assert rows == of_a_result, "docs/not_ok.md: a row of the table for each"


def test_thresholds_of_the_statuses_are_those_of_the_code():
    page = " ".join((DOCS / "not_ok.md").read_text().split())
    limits = RELIABILITY
    assert f"Fewer than {limits.fewest_effective:.0f} effective samples" in page
    assert f"one weight that holds more than {limits.largest_share:.0%}".replace("%", " %") in page
    tail, excess = (
        f"{share:.0%}".replace("%", " %") for share in (limits.tail_share, limits.most_tail_excess)
    )
    most = f"{limits.tail_share + limits.most_tail_excess:.0%}".replace("%", " %")
    assert f"k-hat is above {limits.heavy_tail}, and the largest {tail} of the weights hold" in page
    assert f"more than {most} of the mass, which is {excess} more than their share" in page
    assert f"{limits.tail_per_error} / sqrt(effective samples) more than their share" in page


MEASURED = {
    "straight line": "linear",
    "sine wave": "sine",
    "microlensing": "microlensing",
    "transit": "transit",
    "spectral lines": "spectrum",
    "radial velocity": "radial_velocity",
    "Gaussian": "gaussian15d",
    "Rosenbrock": "rosenbrock",
}


def worst_by_problem():
    """Rows of the benchmark's first table: problem to efficiency, calls per effective sample, seconds."""
    rows = [re.split(r"\s*\|\s*", line) for line in (DOCS / "benchmark.md").read_text().splitlines()]
    return {
        row[1]: (float(row[4]), float(row[6]), float(row[10]))
        for row in rows
        if len(row) > 10 and row[3].startswith(">=")
    }


def test_figures_of_samplers_are_those_of_the_benchmark():
    shown = re.findall(
        r"^\| ([A-Za-z ]+)(?:, .*)? \(\d+\) \| ([\d.]+) \| ([\d.]+) \|",
        (DOCS / "samplers.md").read_text(),
        re.MULTILINE,
    )
    assert {name for name, *_ in shown} == set(MEASURED)
    worst = worst_by_problem()
    for name, *figures in shown:
        for figure, exact in zip(figures, worst[MEASURED[name]][:2], strict=True):
            assert abs(float(figure) - exact) <= 0.5001 * 10.0 ** -len(figure.split(".")[1]), name


def test_times_of_the_readme_follow_from_the_benchmark():
    table = (ROOT / "README.md").read_text().split("| parameters | calls |")[1].split("\n\n")[0]
    rows = [re.split(r"\s*\|\s*", line)[1:-1] for line in table.splitlines()[2:]]
    assert len(rows) == 4
    worst = worst_by_problem()
    for _, calls, cheap, millisecond, slow, example in rows:
        _, per_sample, seconds = worst[MEASURED[example]]
        exact = 5000 * per_sample
        assert float(calls.replace(",", "")) == pytest.approx(exact, rel=0.02)
        assert cheap == f"{seconds:.0f} s"
        assert millisecond == f"{seconds + 1e-3 * exact:.0f} s"
        assert slow == f"{(seconds + 0.1 * exact) / 60:.0f} min"


def test_calls_of_other_samplers_in_the_readme_are_those_of_the_docs():
    readme = " ".join((ROOT / "README.md").read_text().split())
    lowest, highest = map(int, re.findall(r"dynesty (\d+) to (\d+) times as many", readme)[0])
    rows = [re.split(r"\s*\|\s*", line) for line in (DOCS / "samplers.md").read_text().splitlines()]
    timed = ("straight line (2)", "microlensing (5)", "spectral lines (8)", "Gaussian (15)")
    calls = [
        [float(cell) for cell in (row[3], row[4], row[6])] for row in rows if row[1:2] and row[1] in timed
    ]
    assert len(calls) == 4
    ratios = sorted(theirs / ours for ours, _, theirs in calls)
    assert [lowest, highest] == pytest.approx([ratios[0], ratios[-1]], rel=0.02)
    assert all(1.7 < nautilus / ours < 2.7 for ours, nautilus, _ in calls)


def test_numbers_on_the_pages_are_those_of_the_runs():
    """Written by docs/figures/make_numbers.py and docs/figures/make_readme.py."""
    found = json.loads((DOCS / "figures" / "numbers.json").read_text())
    readme = " ".join((ROOT / "README.md").read_text().split())
    run = found["readme"]
    assert f"`{run['status']}: {run['message']}`" in readme
    assert f"log Z is {run['log_evidence']:.3f} +- {run['log_evidence_err']:.3f}" in readme
    own = (DOCS / "own_likelihood.md").read_text()
    for name, words in (("with_simulator", "with `simulator="), ("without_simulator", "without them")):
        (row,) = (line for line in own.splitlines() if line.startswith(f"| {words}"))
        assert row.endswith(f"| {found[name]['calls']:,} | `{found[name]['status']}` |")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_names_on_the_page_exist(page):
    for name in set(NAMES.findall(page.read_text())):
        assert found(name), name


def found(name):
    """Return whether a dotted name leads to something; attributes that only instances have count too."""
    parts = name.split(".")
    for n_parts in range(len(parts), 0, -1):
        try:
            thing = importlib.import_module(".".join(parts[:n_parts]))
        except ModuleNotFoundError:
            continue
        for part in parts[n_parts:]:
            if part in getattr(thing, "__annotations__", {}):
                return True
            if not hasattr(thing, part):
                return False
            thing = getattr(thing, part)
        return True
    return False


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_the_page_links_to_exist(page):
    for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text()):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_line_begins_with_a_percent_sign(page):
    """Such a line is a comment for MyST, and is not on the page: `2` and `%` belong on one line."""
    assert not [line for line in page.read_text().splitlines() if line.lstrip().startswith("%")]


@pytest.mark.parametrize(
    "page", sorted({*DOCS.glob("*.md")} - {DOCS / "changelog.md"}), ids=lambda page: page.name
)
def test_a_page_begins_with_what_it_is_for(page):
    """Not with a heading, a table or code."""
    head, first = page.read_text().split("\n\n")[:2]
    assert head.startswith("# ") and re.match(r"[A-Za-z`\[]", first), first


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pictures_have_words_in_their_place(page):
    alts = re.findall(r"!\[([^]]*)\]\(", page.read_text())
    assert all(len(alt.split()) >= 3 for alt in alts), alts


def test_every_folder_has_a_page_of_its_names():
    listed = set(NAMES.findall((DOCS / "reference" / "modules.md").read_text()))
    folders = {
        each.name for each in pkgutil.walk_packages(nbi_sampler.__path__, "nbi_sampler.") if each.ispkg
    }
    assert listed == folders


def test_pictures_are_small_and_shown():
    text = "".join(page.read_text() for page in PAGES)
    for path in (DOCS / "figures").glob("*.png"):
        assert path.stat().st_size < 100_000
        assert f"figures/{path.name}" in text, path.name
