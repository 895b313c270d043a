"""The gallery: scripts of examples/ fit on a screen, run to their end, and stand in docs/gallery.md."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted((ROOT / "examples").glob("*.py"))
# `test_packaging` runs the script of the demonstration, and knows its answer.
RUN_HERE = [path for path in SCRIPTS if path.stem != "ogle_2008_blg_092"]
PICTURES = ROOT / "docs" / "figures" / "gallery"
FIGURES = sorted((ROOT / "examples" / "drawing").glob("*.py"))
MOST_LINES = 100
VERDICTS = re.compile(
    r"\bok\b|poor fit|n_effective not reached|few distinct samples|unreliable weights|missing mass"
)


@pytest.fixture
def agg():
    import matplotlib

    before = matplotlib.get_backend()
    matplotlib.use("agg")
    yield
    matplotlib.pyplot.close("all")
    matplotlib.use(before)


@pytest.mark.slow
@pytest.mark.usefixtures("small_fits", "quick_pictures")
# batman imports distutils; bilby imports pip, before or after it.
@pytest.mark.filterwarnings("ignore:Setuptools is replacing distutils:UserWarning")
@pytest.mark.filterwarnings("ignore:The distutils package is deprecated:DeprecationWarning")
@pytest.mark.parametrize("script", RUN_HERE, ids=lambda path: path.stem)
def test_script_runs_and_leaves_its_pictures(script, agg, tmp_path, monkeypatch, capsys):
    """In an empty folder, as `python examples/NAME.py --quick` would: warnings are errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(script), "--quick"])
    monkeypatch.syspath_prepend(str(script.parent))  # where Python looks first, and `run_path` does not
    runpy.run_path(str(script), run_name="__main__")
    assert VERDICTS.search(capsys.readouterr().out)
    pictures = list(tmp_path.rglob("*.png"))
    assert pictures
    assert all(path.stat().st_size > 15_000 for path in pictures)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_script_is_of_one_screen_and_leaves_drawing_to_a_module_of_its_name(script):
    source = script.read_text()
    assert source.count("\n") <= MOST_LINES
    assert f"from drawing.{script.stem} import draw" in source
    assert "matplotlib" not in source


@pytest.mark.parametrize("figure", FIGURES, ids=lambda path: path.stem)
def test_figures_know_nothing_of_scripts(figure):
    imported = re.findall(r"^(?:from|import) +([\w.]+)", figure.read_text(), flags=re.MULTILINE)
    assert not {script.stem for script in SCRIPTS} & {name.split(".")[0] for name in imported}


def test_every_script_has_its_section_and_picture():
    sections = (ROOT / "docs" / "gallery.md").read_text().split("\n## ")[1:]
    assert len(sections) >= len(SCRIPTS)
    for script in SCRIPTS:
        (section,) = (text for text in sections if f"(../examples/{script.name})" in text)
        for name in re.findall(r"\(figures/gallery/([\w-]+\.png)\)", section):
            assert (PICTURES / name).stat().st_size < 120_000
        assert f"figures/gallery/{script.stem}.png" in section
