"""A quick run whose result is on disk, to be started again with something changed."""

from __future__ import annotations

import bilby
import numpy as np
from bilby.core.likelihood import Likelihood
from bilby.core.prior import PriorDict, Uniform

KEYWORDS = dict(n_effective=150, n_sims=250, n_rounds=1, seed=1, print_method="none", label="x")
KEYWORDS |= {"training": {"n_epochs": 4}}
# bilby times the likelihood with a hundred calls; the rest are checks.
FEW = 100 + 12 + 6 + 1 + 2


class Dish(Likelihood):
    """A Gaussian of width 0.5, so that few draws suffice; counts its calls."""

    def __init__(self, centre=0.3):
        super().__init__()
        self.centre, self.calls = centre, []

    def log_likelihood(self, parameters):
        self.calls.append((parameters["a"], parameters["b"]))
        return -2.0 * ((parameters["a"] - self.centre) ** 2 + (parameters["b"] + 0.2) ** 2)


def square(**entries):
    return PriorDict({"a": Uniform(-2, 2), "b": Uniform(-1, 3)} | entries)


def start(outdir, likelihood=None, priors=None, **keywords):
    """Run; the result, with the number of likelihood calls as ``n_paid``."""
    likelihood = likelihood or Dish()
    settings = KEYWORDS | {"outdir": str(outdir), "save": True} | keywords
    result = bilby.run_sampler(likelihood, priors or square(), sampler="nbi", **settings)
    result.n_paid = len(likelihood.calls)
    return result


def names_in(folder):
    return sorted(each.name for each in folder.iterdir() if not each.name.startswith("."))


def same_numbers(first, second):
    return first.log_evidence == second.log_evidence and np.array_equal(
        np.sort(first.nested_samples["a"]), np.sort(second.nested_samples["a"])
    )
