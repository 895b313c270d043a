"""Two parameters, and draws of them."""

from __future__ import annotations

import pytest
from bilby.core.prior import PriorDict, Uniform

from nbi_sampler.priors.space import ParameterSpace


@pytest.fixture
def space():
    return ParameterSpace(PriorDict({"m": Uniform(0.0, 3.0, "m"), "c": Uniform(-1.0, 1.0, "c")}))


@pytest.fixture
def z(rng):
    return rng.normal(size=(450, 2))
