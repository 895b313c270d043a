"""What is imported when, from the bare package to a training, in one fresh interpreter.

An import that comes too early costs every user seconds, or asks for a package that nobody needs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

STAGES = """
import json, os, random, sys, warnings
warnings.simplefilter("error")
HEAVY = (
    "torch", "bilby", "jinja2", "matplotlib", "matplotlib.pyplot", "corner",
    "jax", "distributed", "mpi4py", "torch._dynamo", "nbi_sampler.reports.plots",
)
seen = {}
def noted(stage):
    seen[stage] = [name for name in HEAVY if name in sys.modules]

before = dict(os.environ), random.getstate()
import nbi_sampler, nbi_sampler.cli
seen["changed"] = before != (dict(os.environ), random.getstate())
noted("package")
nbi_sampler.cli.main(["plugins"])
noted("list of plugins")
from nbi_sampler.plugins import installed
installed.cache_clear()
warnings.simplefilter("ignore")  # those of other packages
import nbi_sampler.plots
noted("former name")
import nbi_sampler.reports.diagnostics
noted("page of a survey")
import nbi_sampler.sampler.nbi
seen["plugins loaded"] = installed.cache_info().currsize
noted("sampler")
import torch
from types import SimpleNamespace
from nbi_sampler.core.config import TrainingConfig
from nbi_sampler.networks.training.fit import fit
line = torch.nn.Linear(2, 1)
losses = lambda: iter([line(torch.ones(4, 2)).square().mean()])
fit(line, SimpleNamespace(n_batches=1, batches=losses, validation=lambda: 0.0), TrainingConfig(n_epochs=3))
noted("training")
assert nbi_sampler.plots.plot_run is sys.modules["nbi_sampler.reports.plots"].plot_run
print("SEEN", json.dumps(seen))
"""


@pytest.fixture(scope="module")
def seen():
    """Heavy modules that are imported after each stage, by its name."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", STAGES]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    assert not done.returncode, done.stderr
    return json.loads(done.stdout.split("SEEN")[-1])


@pytest.mark.takes_seconds
def test_the_package_and_its_command_are_light_and_change_nothing_global(seen):
    assert seen["package"] == []
    assert not seen["changed"]


def test_the_list_of_plugins_imports_no_network(seen):
    assert "torch" not in seen["list of plugins"]


def test_a_survey_without_its_page_needs_no_matplotlib(seen):
    assert "matplotlib" not in seen["page of a survey"]


def test_the_sampler_asks_for_no_optional_package_and_loads_no_plugin(seen):
    assert not {"jax", "distributed", "mpi4py"} & set(seen["sampler"])
    assert seen["plugins loaded"] == 0


def test_training_does_not_import_the_compiler_of_torch(seen):
    """It takes more than a second of processor time, in every process that trains."""
    assert "torch" in seen["training"] and "torch._dynamo" not in seen["training"]


def test_a_former_name_imports_no_module_until_it_is_used(seen):
    assert "nbi_sampler.reports.plots" not in seen["former name"]
    assert "nbi_sampler.reports.plots" in seen["training"]
