"""The page of a package index: the README with links that lead somewhere, and the facts of setup.cfg."""

from __future__ import annotations

import configparser
import importlib.metadata
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import nbi_sampler

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SITE = "https://docs.example.org/nbi"
LINKS = re.compile(r"\]\(([^)\s]+)\)")


@pytest.fixture(scope="module")
def described():
    return runpy.run_path(str(ROOT / "setup.py"))["description"]


def built(folder, site):
    """Metadata that setuptools makes in a folder, as any installer asks for them."""
    for name in ("README.md", "LICENSE", "pyproject.toml", "setup.py", "setup.cfg"):
        shutil.copy(ROOT / name, folder)
    if site:
        settings = (folder / "setup.cfg").read_text(encoding="utf-8")
        urls = f"[metadata]\nproject_urls =\n    Documentation = {site}\n"
        (folder / "setup.cfg").write_text(settings.replace("[metadata]\n", urls), encoding="utf-8")
    (folder / "nbi_sampler").mkdir()
    shutil.copy(ROOT / "nbi_sampler" / "__init__.py", folder / "nbi_sampler")
    code = "from setuptools import build_meta; build_meta.prepare_metadata_for_build_wheel('made')"
    (folder / "made").mkdir()
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=True, capture_output=True)
    (found,) = (folder / "made").glob("*.dist-info")
    return importlib.metadata.PathDistribution(found).metadata


def test_no_link_is_dead_before_the_documentation_has_an_address(tmp_path):
    metadata = built(tmp_path, None)
    text = metadata.get_payload() or metadata["Description"]
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert text.startswith("# nbi-sampler") and "make docs" in text
    assert all(target.startswith("https://") for target in LINKS.findall(text))
    assert "](docs/" not in text and "]: docs/" not in text and "![" not in text
    assert "can be missed, and the status may still" in " ".join(text.split())


def test_links_lead_to_the_documentation_once_it_has_an_address(tmp_path):
    metadata = built(tmp_path, SITE)
    text = metadata.get_payload() or metadata["Description"]
    assert metadata.get_all("Project-URL") == [f"Documentation, {SITE}"]
    assert f"[Quickstart]({SITE}/quickstart.html)" in text
    assert f"]({SITE}/_images/readme.png)" in text
    assert all(target.startswith("https://") for target in LINKS.findall(text))
    # Files that the documentation lacks.
    assert " contributing\n" in text and "its description." in text


def test_every_page_that_the_readme_links_to_is_built(described):
    pages = re.findall(rf"{SITE}/(\w+)\.html", described(README, SITE))
    assert pages and all((ROOT / "docs" / f"{page}.md").exists() for page in pages)


def test_code_and_anchors_are_kept(described):
    text = 'Use `a["b"]["c"]`, see [it][page].\n\n```python\nx[0](1)\n```\n\n[page]: docs/page.md#part\n'
    assert described(text, None) == 'Use `a["b"]["c"]`, see it.\n\n```python\nx[0](1)\n```\n'
    assert f"[it]({SITE}/page.html#part)" in described(text, f"{SITE}/")


def test_the_first_line_has_the_facts_of_the_package():
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    pythons = re.findall(r"Python :: (3\.\d+)", parser["metadata"]["classifiers"])
    version, licence = nbi_sampler.__version__, parser["metadata"]["license"]
    facts = f"Version {version} · Python {pythons[0]} to {pythons[-1]} · {licence} licence"
    assert README.splitlines()[2] == facts


@pytest.mark.parametrize("name", ["benchmark", "tensorboard"])
def test_readmes_of_plugins_have_no_relative_link(name):
    """They are shown on an index as they are."""
    text = (ROOT / "plugins" / name / "README.md").read_text(encoding="utf-8")
    assert all(target.startswith("https://") for target in LINKS.findall(text))
