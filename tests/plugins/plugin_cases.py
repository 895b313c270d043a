"""Plugins for tests, and small runs that they take part in."""

from __future__ import annotations

from importlib import metadata

import bilby
import numpy as np
from small_runs import run_nbi

from nbi_sampler.core.config import MafConfig, MlpConfig
from nbi_sampler.forward import UserModel
from nbi_sampler.networks.featurizers import FeaturizerKind
from nbi_sampler.networks.featurizers.base import perceptron_featurizer
from nbi_sampler.networks.flows import FlowKind, MaskedAutoregressiveFlow
from nbi_sampler.networks.training.losses import LossKind
from nbi_sampler.networks.training.objectives import NllObjective
from nbi_sampler.plugins import hookimpl
from nbi_sampler.plugins.manager import Plugin, Plugins

X = np.linspace(0.0, 1.0, 20)
Y = 2.0 * X + 0.1 * np.random.default_rng(3).normal(size=20)
PRIORS = {"m": bilby.core.prior.Uniform(0.0, 5.0, "m")}
MINE = Plugin("mine", "nbi-sampler-mine", "1.2")
QUICK = dict(n_effective=50, n_sims=300, n_rounds=1, refine=False, training={"n_epochs": 3})


GOOD = "from nbi_sampler.plugins import hookimpl\n@hookimpl\ndef run_started(run): pass\n"


def line(x, m):
    return m * x


class OwnGaussian(bilby.core.likelihood.GaussianLikelihood):
    """Not recognised: its log-likelihood is its own, and it may fail."""

    failing_from = np.inf
    n_calls = 0

    def log_likelihood(self, parameters=None):
        type(self).n_calls += 1
        if self.n_calls > self.failing_from:
            raise RuntimeError("the disk is full")
        return super().log_likelihood(parameters)


class Watching:
    """Keeps all events."""

    def __init__(self):
        self.told = []

    @hookimpl
    def run_started(self, run):
        self.told.append(("run_started", run))

    @hookimpl
    def simulations_drawn(self, run, simulations):
        self.told.append(("simulations_drawn", run, simulations))

    @hookimpl
    def epoch_finished(self, run, epoch):
        self.told.append(("epoch_finished", run, epoch))

    @hookimpl
    def round_finished(self, run, number, record, effective):
        self.told.append(("round_finished", run, number, record, effective))

    @hookimpl
    def run_finished(self, run, outcome):
        self.told.append(("run_finished", run, outcome))

    def of(self, hook):
        return [event[2:] for event in self.told if event[0] == hook]


class Simulating:
    """Knows one likelihood."""

    def __init__(self):
        self.asked = []

    @hookimpl
    def forward_model(self, likelihood):
        """Gaussian noise of our own."""
        self.asked.append(likelihood)
        if not isinstance(likelihood, OwnGaussian):
            return None
        return UserModel(lambda parameters: line(X, parameters["m"]), 0.1, likelihood.y)


class Modest(NllObjective):
    made = 0

    def __init__(self, *arguments):
        type(self).made += 1
        super().__init__(*arguments)


MODEST = LossKind(Modest)


class Offering:
    """A featurizer, a flow and a loss."""

    @hookimpl
    def featurizers(self):
        """A perceptron."""
        return {"mine-mlp": FeaturizerKind(MlpConfig, perceptron_featurizer)}

    @hookimpl
    def flows(self):
        """A flow."""
        return {"mine-maf": FlowKind(MafConfig, MaskedAutoregressiveFlow)}

    @hookimpl
    def losses(self):
        """A loss."""
        return {"mine-nll": LossKind(Modest)}


def namespace(**hooks):
    """A plugin of functions."""
    functions = {name: hookimpl(function) for name, function in hooks.items()}
    return type("Hooks", (), {name: staticmethod(function) for name, function in functions.items()})()


def gaussian(kind=bilby.core.likelihood.GaussianLikelihood):
    return kind(X, Y, line, sigma=0.1)


def fit(outdir, likelihood=None, **keywords):
    return run_nbi(likelihood or gaussian(), dict(PRIORS), outdir, **(QUICK | keywords))


def found():
    """The plugins of the installed distributions."""
    return Plugins(metadata.entry_points(group="nbi_sampler"))
