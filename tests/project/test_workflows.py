"""Workflows of GitHub parse, and agree with setup.cfg, the Makefile and the folders here."""

from __future__ import annotations

import configparser
import re
import runpy
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
FORMS = [path for path in sorted((GITHUB / "ISSUE_TEMPLATE").glob("*.yml")) if path.stem != "config"]
# As GitHub's documentation of issue forms has them.
FIELDS = {"markdown", "textarea", "input", "dropdown", "checkboxes"}

pytestmark = pytest.mark.skipif(not GITHUB.is_dir(), reason="no checkout: the folder was left out")


def setup_cfg():
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def loaded(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def jobs():
    return {f"{path.stem}/{name}": job for path in WORKFLOWS for name, job in loaded(path)["jobs"].items()}


def commands():
    return [step["run"] for job in jobs().values() for step in job["steps"] if "run" in step]


def test_linux_is_tested_with_every_python_that_is_promised():
    classifiers = setup_cfg()["metadata"]["classifiers"]
    promised = re.findall(r"Python :: (3\.\d+)", classifiers)
    assert jobs()["tests/linux"]["strategy"]["matrix"]["python"] == promised
    assert jobs()["tests/oldest"]["steps"][1]["with"]["python-version"] == promised[0]
    assert jobs()["tests/newest"]["steps"][1]["with"]["python-version"] == promised[-1]


def test_other_systems_are_tested():
    systems = jobs()["tests/spawned"]["strategy"]["matrix"]["system"]
    assert {system.split("-")[0] for system in systems} == {"macos", "windows"}


def test_commands_name_targets_extras_and_files_that_exist():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.M))
    text = "\n".join(commands())
    made = set(re.findall(r"\bmake (\w+)", text))
    assert {"test", "docs"} <= made <= targets
    extras = {each for group in re.findall(r"-e \"\.\[([\w,]+)\]\"", text) for each in group.split(",")}
    assert extras and extras <= set(setup_cfg()["options.extras_require"])
    for name in re.findall(r"-c (\S+\.txt)|python (\S+\.py)", text):
        assert (ROOT / "".join(name)).exists() or "".join(name) == "oldest.txt"
    assert (ROOT / "tests").is_dir() and " tests" in text


@pytest.mark.parametrize("name", sorted(jobs()) if GITHUB.is_dir() else [])
def test_jobs_end_and_steps_are_whole(name):
    job = jobs()[name]
    assert 0 < job["timeout-minutes"] <= 120
    assert job["steps"][0] == {"uses": "actions/checkout@v4"}
    assert all(("uses" in step) != ("run" in step) for step in job["steps"])


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_may_only_read_and_know_no_secret(path):
    assert loaded(path)["permissions"] == {"contents": "read"}
    assert "secrets." not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_forms_for_issues_have_what_github_wants(path):
    form = loaded(path)
    assert form["name"] and form["description"]
    assert {field["type"] for field in form["body"]} <= FIELDS
    named = [field for field in form["body"] if field["type"] != "markdown"]
    ids = [field["id"] for field in named]
    assert len(ids) == len(set(ids)) and all(re.fullmatch(r"[\w-]+", each) for each in ids)
    assert all(field["attributes"]["label"] for field in named)
    assert any(field.get("validations", {}).get("required") for field in named)


def test_the_oldest_versions_are_those_that_setup_cfg_allows():
    wanted = setup_cfg()["options"]["install_requires"].split()
    bounds = {each.split(">=")[0]: each.split(">=")[1] for each in wanted if ">=" in each}
    printed = runpy.run_path(str(ROOT / ".ci" / "oldest.py"))["oldest"]()
    assert dict(each.split("==") for each in printed) == bounds
    assert {"bilby", "torch"} <= set(bounds)
