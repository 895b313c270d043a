"""The built documentation needs no network."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
# Lines of the list of all folders.
OTHER_FOLDERS = re.compile(r"^   nbi_sampler(?!\.priors$).*\n", flags=re.MULTILINE)


@pytest.fixture(scope="module")
def self_contained():
    path = DOCS / "extensions" / "self_contained.py"
    spec = importlib.util.spec_from_file_location("self_contained", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "page",
    [
        '<script src="https://cdn.example.org/mathjax.js"></script>',
        '<link rel="stylesheet" href="//fonts.example.org/a.css">',
        '<img alt="badge" src="https://img.example.org/badge.svg">',
        "<style>@import 'https://fonts.example.org/a.css';</style>",
        "<style>@font-face { src: url(https://fonts.example.org/a.woff2) }</style>",
        '<script type="module">import d from "https://cdn.example.org/diagram.mjs";</script>',
    ],
    ids=["script", "style", "picture", "import", "font", "module"],
)
def test_the_check_sees_what_a_browser_fetches(page, self_contained):
    assert self_contained.fetched(page)


def test_the_check_lets_links_and_own_files_pass(self_contained):
    page = (
        '<link rel="canonical" href="https://example.org/page.html"><a href="https://example.org">there</a>'
        '<script src="_static/doctools.js"></script><img src="_images/run.png">'
    )
    assert not self_contained.fetched(page)


def test_the_check_reads_style_sheets_of_a_folder(self_contained, tmp_path):
    (tmp_path / "a.css").write_text("body { background: url('https://example.org/a.png') }")
    (tmp_path / "b.html").write_text("<p>text</p>")
    assert self_contained.fetched_by_folder(tmp_path) == {"a.css": ["https://example.org/a.png"]}


@pytest.mark.slow
def test_built_pages_fetch_nothing(self_contained, tmp_path):
    """Every page that somebody has written, and those made of the docstrings of one folder.

    `make docs`, with which CI begins, makes the pages of all folders from the same template, and checks every
    build in the same way.
    """
    for package in ("furo", "latex2mathml", "myst_parser", "sphinx", "sphinx_design", "ziamath"):
        pytest.importorskip(package)
    source, built = tmp_path / "docs", tmp_path / "built"
    shutil.copytree(DOCS, source, ignore=shutil.ignore_patterns("modules"))
    shutil.copy(ROOT / "CHANGELOG.md", tmp_path)
    modules = source / "reference" / "modules.md"
    kept, n_left_out = OTHER_FOLDERS.subn("", modules.read_text())
    assert n_left_out > 10
    modules.write_text(kept)
    command = [sys.executable, "-m", "sphinx", "-q", "-b", "html", str(source), str(built)]
    subprocess.run(command, check=True)
    assert (built / "index.html").exists()
    assert (built / "reference" / "modules" / "nbi_sampler.priors.html").exists()
    assert not self_contained.fetched_by_folder(built)
    assert "<math" in (built / "equations.html").read_text()
