"""A stranger's first steps: install, import, read the README, run the example."""

from __future__ import annotations

import configparser
import importlib.metadata
import importlib.util
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement

import nbi_sampler

ROOT = Path(__file__).parents[2]
NAME = re.compile(r"[A-Za-z0-9._-]+")


@pytest.fixture(scope="module")
def setup_cfg():
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


@pytest.fixture(scope="module")
def example():
    path = ROOT / "examples" / "ogle_2008_blg_092.py"
    spec = importlib.util.spec_from_file_location("example", path)
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(path.parent))
        spec.loader.exec_module(module)
    return module


def test_installed_version_is_the_packages_own():
    assert importlib.metadata.version("nbi-sampler") == nbi_sampler.__version__


def test_changelog_has_a_dated_section_for_each_release_and_begins_with_this_version():
    heads = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)
    assert all(re.fullmatch(r"\d+\.\d+\.\d+ \((\d{4}-\d\d-\d\d|unreleased)\)", head) for head in heads)
    assert heads[0].startswith(f"{nbi_sampler.__version__} ") and heads[-1].startswith("0.1.0 ")
    assert f"version: {nbi_sampler.__version__}\n" in (ROOT / "CITATION.cff").read_text()


def test_bilby_finds_the_sampler_by_name():
    from bilby.core.sampler import IMPLEMENTED_SAMPLERS

    assert IMPLEMENTED_SAMPLERS["nbi"].load().__name__ == "Nbi"


def test_every_dependency_that_make_installs_is_pinned(setup_cfg):
    extras = setup_cfg["options.extras_require"]
    chosen = (extras[name] for name in ("tests", "examples", "docs"))
    wanted = "\n".join((setup_cfg["options"]["install_requires"], *chosen)).split("\n")
    pinned = {NAME.match(line).group() for line in _lines(ROOT / "constraints.txt")}
    assert {NAME.match(line).group() for line in wanted if line} <= pinned


def test_every_package_that_is_imported_at_once_is_asked_for(setup_cfg):
    wanted = {NAME.match(line).group() for line in setup_cfg["options"]["install_requires"].split()}
    wanted = {name.replace("scikit-learn", "sklearn") for name in wanted}
    for path in (ROOT / "nbi_sampler").rglob("*.py"):
        # Those within functions are optional, and say so when they are missing.
        for name in re.findall(
            r"^(?:from (?=\w[\w.]* import )|import )(\w+)", path.read_text(), flags=re.MULTILINE
        ):
            assert name in wanted | sys.stdlib_module_names | {"nbi_sampler"}, f"{path.name}: {name}"


def test_constraints_can_be_installed_on_the_oldest_python():
    # The pinned versions of these have dropped Python 3.10; without a marker pip would give up there.
    dropped = ("numpy", "scipy", "pandas", "matplotlib", "astropy", "hypothesis")
    for line in _lines(ROOT / "constraints.txt"):
        if NAME.match(line).group() in dropped:
            assert 'python_version >= "3.11"' in line, line


def test_the_oldest_python_is_the_same_wherever_it_is_said(setup_cfg):
    oldest = setup_cfg["options"]["python_requires"].removeprefix(">=")
    classifiers = re.findall(r"Python :: (3\.\d+)", setup_cfg["metadata"]["classifiers"])
    assert min(classifiers, key=lambda version: int(version[2:])) == oldest
    assert f'target-version = "py{oldest.replace(".", "")}"' in (ROOT / "pyproject.toml").read_text()
    assert f"-t={oldest}- " in (ROOT / "Makefile").read_text()
    assert f"Python {oldest} or later" in (ROOT / "README.md").read_text()
    for plugin in (ROOT / "plugins").glob("*/setup.cfg"):
        assert f"python_requires = >={oldest}\n" in plugin.read_text(), plugin.parent.name


def _lines(path):
    return [line for line in path.read_text().splitlines() if line and not line.startswith("#")]


def test_readme_names_only_commands_that_make_knows():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    named = set(re.findall(r"^ {4}make ([a-z]+)", (ROOT / "README.md").read_text(), flags=re.MULTILINE))
    assert {"demo", "test"} <= named <= targets


def test_docs_name_every_keyword_of_the_sampler_and_no_other():
    from nbi_sampler.sampler.nbi import Nbi

    page = (ROOT / "docs" / "keywords.md").read_text()
    table = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", page, flags=re.MULTILINE)
    named = {name for row in table for name in re.findall(r"`(\w+)`", row)}
    assert named == set(Nbi.default_kwargs)


def test_examples_data_are_the_published_light_curve(example):
    time, flux, error, baseline = example.load()
    assert len(time) == 383
    assert np.all(np.diff(time) > 0)
    assert np.all(error > 0)
    assert 13.9 < baseline < 13.96
    assert flux.max() == pytest.approx(2.1, abs=0.05)


def test_example_starts_from_the_known_least_squares_fit(example):
    values, errors, _ = example.least_squares(*example.load()[:3])
    assert values[:3] == pytest.approx([5379.571, 0.523, 17.94], abs=6e-3)
    assert errors[:3] == pytest.approx([0.048, 0.026, 0.55], rel=0.02)


@pytest.mark.slow
@pytest.mark.usefixtures("small_fits", "quick_pictures")
def test_example_finds_the_known_answer_and_leaves_its_files(example, tmp_path, monkeypatch, capsys):
    """In an empty folder, as a rough fit: 100 effective samples know a mean to a tenth of its error."""
    import matplotlib

    matplotlib.use("Agg")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(example, "AMOUNT", example.ROUGH)
    example.main()
    folder = tmp_path / example.OUTDIR
    result = example.bilby.read_in_result(str(folder / "ogle-2008-blg-092_result.json"))
    values, errors, _ = example.least_squares(*example.load()[:3])
    mean = result.posterior[list(example.PRIORS)].mean().to_numpy()
    assert np.all(np.abs(mean - values) < 0.5 * errors)
    assert {path.suffix for path in folder.iterdir()} >= {".json", ".png"}
    pictures = list(folder.glob("*.png"))
    assert len(pictures) >= 2
    assert all(path.stat().st_size > 15_000 for path in pictures)
    assert "log evidence" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["benchmark", "gravitational_waves", "tensorboard"])
def test_plugins_accept_the_version_of_the_package(name):
    """A plugin that excludes it cannot be installed beside it."""
    settings = configparser.ConfigParser()
    settings.read(ROOT / "plugins" / name / "setup.cfg", encoding="utf-8")
    required = map(Requirement, settings["options"]["install_requires"].split())
    (package,) = (each for each in required if each.name == "nbi-sampler")
    assert package.specifier.contains(nbi_sampler.__version__)
