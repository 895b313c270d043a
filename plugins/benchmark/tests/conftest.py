"""Fixtures of the benchmark's tests; a straight line to simulate, which several files train on."""

from __future__ import annotations

import functools
import logging

import bilby
import numpy as np
import pytest
import torch
from nbi_sampler_benchmark.packages.simulations import SimulatedProblem
from nbi_sampler_benchmark.problems.registry import get_problem

# Doctests are looked for in modules by their names, and fixtures of all plugins have the same.
collect_ignore_glob = ["*conftest.py"]


@pytest.fixture(scope="session", autouse=True)
def quiet_bilby():
    """Keep bilby's log out of the test report, and let it list the installed packages once."""
    bilby.core.utils.logger.setLevel(logging.WARNING)
    name = "bilby.core.sampler.env_package_list"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(name, functools.cache(bilby.core.sampler.env_package_list))
        yield


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Use one thread a process, so that two test processes do not fight over two cores."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def command_line_of_bilby(monkeypatch):
    """Put bilby's switches back: ``run_sampler(clean=True)`` sets one for the rest of the process."""
    switches = bilby.core.utils.command_line_args
    for name in ("clean", "use_cached"):
        monkeypatch.setattr(switches, name, getattr(switches, name))


@pytest.fixture
def rng():
    """Return a seeded generator of the test's own."""
    return np.random.default_rng(20231206)


@pytest.fixture(scope="module")
def line():
    return SimulatedProblem(get_problem("linear"))
