"""A straight line to simulate, which several files of tests train on."""

from __future__ import annotations

import pytest

from nbi_sampler.benchmark.horizontal.simulations import SimulatedProblem
from nbi_sampler.benchmark.problems import get_problem


@pytest.fixture(scope="module")
def line():
    return SimulatedProblem(get_problem("linear"))
