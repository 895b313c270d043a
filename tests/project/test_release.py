"""The files to upload: a source distribution with all that it needs, and a wheel made of it that runs."""

from __future__ import annotations

import re
import shutil
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from fresh_environments import call, fresh_python

import nbi_sampler

ROOT = Path(__file__).parents[2]
VERSION = nbi_sampler.__version__
FEW = 'n_effective=300, n_sims=600, training={"n_epochs": 10}, seed=1'


@pytest.fixture(scope="module")
def distributions(tmp_path_factory):
    """Folder with the source distribution and the wheel that is built from it."""
    folder = tmp_path_factory.mktemp("release")
    source, out = folder / "source", folder / "dist"
    unwanted = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__", "outdir", "modules")
    shutil.copytree(ROOT, source, ignore=unwanted)
    # As `python -m build`, but with nothing to download.
    call(sys.executable, source, "-m", "build", "--no-isolation", "--outdir", str(out))
    return out


@pytest.mark.slow
def test_source_distribution_holds_what_a_packager_looks_for(distributions):
    with tarfile.open(distributions / f"nbi_sampler-{VERSION}.tar.gz") as archive:
        held = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    wanted = {
        "LICENSE",
        "README.md",
        "CHANGELOG.md",
        "CITATION.cff",
        "CONTRIBUTING.md",
        "constraints.txt",
        "Makefile",
    }
    assert wanted <= held
    for folder, pattern in {
        "tests": "**/*.py",
        "docs": "*.md",
        "docs/figures": "*.png",
        "examples": "**/*.py",
    }.items():
        assert {str(path.relative_to(ROOT)) for path in (ROOT / folder).glob(pattern)} <= held


@pytest.mark.slow
def test_wheel_holds_the_package_and_its_data_alone(distributions):
    (wheel,) = distributions.glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    files = (path for path in (ROOT / "nbi_sampler").rglob("*") if path.is_file() and path.suffix != ".pyc")
    assert {name for name in held if name.startswith("nbi_sampler/")} == {
        str(f.relative_to(ROOT)) for f in files
    }


@pytest.mark.slow
def test_wheel_runs_by_its_name_in_a_clean_environment(distributions, tmp_path):
    python = fresh_python(tmp_path)
    (wheel,) = distributions.glob("*.whl")
    call(python, tmp_path, "-m", "pip", "install", "--no-deps", "--quiet", str(wheel))
    page = (ROOT / "docs" / "quickstart.md").read_text()
    script = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)[0]
    assert 'sampler="nbi", label="line"' in script and "nbi_sampler" not in script
    (tmp_path / "fit.py").write_text(
        "import bilby\nbilby.core.sampler.env_package_list = lambda *_, **__: None  # starts pip\n"
        + script.replace('label="line"', f'label="line", {FEW}')
        + "import nbi_sampler, importlib.metadata as metadata\n"
        + "print(nbi_sampler.__file__, metadata.version('nbi-sampler'), result.meta_data['nbi']['status'])\n"
        # In the same process, as it takes long to import everything.
        + "import runpy, sys\nsys.argv[1:] = ['plugins']\n"
        + "runpy.run_module('nbi_sampler.cli', run_name='__main__')\n"
    )
    printed = call(python, tmp_path, "-W", "error::ImportWarning", "fit.py").splitlines()
    (n_before,) = (i for i, line in enumerate(printed) if line.startswith("plugin"))
    where, version, status = printed[n_before - 1].split(" ", 2)
    assert Path(where).is_relative_to(tmp_path / "env")
    assert (version, status) == (VERSION, "ok")
    assert (tmp_path / "outdir" / "line_corner.png").exists()
    assert any(line.startswith("nbi_sampler ") for line in printed[n_before:])


def test_the_version_is_written_once():
    assert f"version: {VERSION}\n" in (ROOT / "CITATION.cff").read_text()
    assert "version = attr: nbi_sampler.__version__\n" in (ROOT / "setup.cfg").read_text()
