"""The notebooks of docs/tutorials: executed, on the menu, free of this machine, and still running."""

from __future__ import annotations

import json
import re
import sys
import types
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
NOTEBOOKS = sorted((DOCS / "tutorials").glob("*.ipynb"))
WIDEST = 88
LARGEST = 400_000


def name_of(path):
    return path.stem


def cells(path, kind):
    return [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == kind]


def code(path):
    return ["".join(cell["source"]) for cell in cells(path, "code")]


def test_there_are_three():
    assert [path.stem for path in NOTEBOOKS] == ["first_fit", "own_simulator", "survey"]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=name_of)
def test_notebook_was_executed_from_top_to_bottom(notebook):
    executed = cells(notebook, "code")
    assert [cell["execution_count"] for cell in executed] == [*range(1, len(executed) + 1)]
    outputs = [output for cell in executed for output in cell["outputs"]]
    assert not [output for output in outputs if output["output_type"] == "error"]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert any(output.get("name") == "stdout" for output in outputs)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=name_of)
def test_pictures_have_words_in_their_place(notebook):
    drawn = [
        c for c in cells(notebook, "code") if any("image/png" in o.get("data", {}) for o in c["outputs"])
    ]
    assert all(len(cell["metadata"]["mystnb"]["image"]["alt"].split()) >= 6 for cell in drawn)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=name_of)
def test_notebook_is_small_and_names_no_folder_of_a_machine(notebook):
    text = notebook.read_text()
    assert len(text) < LARGEST
    assert not re.findall(r"/(?:home|tmp|root|Users|work)/", text)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=name_of)
def test_no_line_of_code_is_cut(notebook):
    assert not [line for source in code(notebook) for line in source.splitlines() if len(line) > WIDEST]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=name_of)
def test_notebook_is_on_the_menu_and_its_links_exist(notebook):
    assert f"tutorials/{notebook.stem}\n" in (DOCS / "index.md").read_text()
    text = "\n".join("".join(cell["source"]) for cell in cells(notebook, "markdown"))
    links = re.findall(r"\]\((?!https?:)([^)#]+)", text)
    assert links
    assert all((notebook.parent / link).exists() for link in links)


@pytest.mark.slow
@pytest.mark.usefixtures("small_fits", "quick_pictures")
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=name_of)
def test_notebook_runs(notebook, monkeypatch, tmp_path):
    """All cells in order, with fewer samples, simulations and epochs."""
    # A notebook has IPython, and these tests need not.
    display = types.SimpleNamespace(Image=lambda *args, **kwargs: None)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    import bilby
    import matplotlib

    import nbi_sampler

    run, infer_many = bilby.run_sampler, nbi_sampler.infer_many
    fit, infer = nbi_sampler.NBI.fit, nbi_sampler.NBI.infer
    statuses = []

    def run_quickly(*args, **kwargs):
        few = {"n_effective": 200, "n_sims": 500, "n_rounds": 2, "training": {"n_epochs": 5}}
        result = run(*args, **{**kwargs, **few})
        statuses.append(result.meta_data["nbi"]["status"])
        return result

    def fit_quickly(self, *args, **kwargs):
        return fit(self, *args, **{**kwargs, "n_sims": 1000, "n_epochs": 10})

    def infer_one_quickly(self, *args, **kwargs):
        return infer(self, *args, **{**kwargs, "n_samples": 200})

    def infer_quickly(*args, **kwargs):
        return infer_many(*args, **{**kwargs, "n_effective": 100, "n_sims": 300, "training": {"n_epochs": 4}})

    monkeypatch.setattr(bilby, "run_sampler", run_quickly)
    monkeypatch.setattr(nbi_sampler, "infer_many", infer_quickly)
    monkeypatch.setattr(nbi_sampler.NBI, "infer", infer_one_quickly)
    monkeypatch.setattr(nbi_sampler.NBI, "fit", fit_quickly)
    monkeypatch.chdir(tmp_path)
    level = bilby.core.utils.logger.level
    before = matplotlib.get_backend()
    matplotlib.use("agg")
    names = {}
    try:
        for source in code(notebook):
            exec(compile(source, notebook.name, "exec"), names)
    finally:
        matplotlib.pyplot.close("all")
        matplotlib.use(before)
        bilby.core.utils.logger.setLevel(level)
    assert set(statuses) <= {"ok", "poor fit"}
    if notebook.stem == "survey":
        assert len(names["survey"].table) == 10
    else:
        assert "ok" in statuses
