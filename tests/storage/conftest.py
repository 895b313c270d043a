"""Runs that leave a checkpoint: one of the algorithm alone that has ended, and runs through bilby."""

from __future__ import annotations

import bilby
import pytest
import toys
from bilby.core.prior import PriorDict, Uniform
from checkpoint_cases import ASKED
from resume_cases import QUICK, Stopping

from nbi_sampler.algorithm import snpe
from nbi_sampler.algorithm.records import Observer
from nbi_sampler.core.config import SnpeConfig
from nbi_sampler.storage.checkpoint import Checkpoint, save


@pytest.fixture(scope="module", autouse=True)
def runs_are_quick(small_fits_of_a_module):
    """Files do not depend on how well a proposal fits."""


@pytest.fixture(scope="session")
def problem():
    return toys.likelihood_only(toys.bump([0.5, -0.2], 0.3)[0], 2, toys.QUICK)


@pytest.fixture(scope="session")
def state(problem):
    """A run that has ended."""
    seen = []

    class Keeping(Observer):
        def state_changed(self, state):
            seen.append(state)

    snpe.run(problem, SnpeConfig(n_effective=200, n_sims=300), 5, Keeping())
    return seen[-1]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "nbi_x" / "checkpoint.npz"


@pytest.fixture
def saved(path, state):
    save(path, ("p0", "p1"), ASKED, Checkpoint(state, 5, 12.5))
    return path


@pytest.fixture
def run(tmp_path):
    """Run the sampler through bilby, quickly, on a problem that may stop it."""

    def run(likelihood, **keywords):
        priors = PriorDict({"m": Uniform(-3, 3), "c": Uniform(-3, 3)})
        settings = QUICK | {"outdir": str(tmp_path), "label": "x"} | keywords
        return bilby.run_sampler(likelihood, priors, sampler="nbi", **settings)

    return run


@pytest.fixture(scope="session")
def unbroken(tmp_path_factory):
    """Runs that are never stopped, with their calls, made when they are first asked for."""
    made = {}

    def unbroken(make):
        if make not in made:
            stopping = Stopping()
            priors = PriorDict({"m": Uniform(-3, 3), "c": Uniform(-3, 3)})
            settings = QUICK | {"outdir": str(tmp_path_factory.mktemp("unbroken"))}
            made[make] = bilby.run_sampler(make(stopping), priors, sampler="nbi", **settings), stopping.calls
        return made[make]

    return unbroken
