"""A broken plugin is named and left out, and breaks nothing else."""

from __future__ import annotations

import logging
import re
from importlib import metadata

import bilby
import numpy as np
import pytest
from plugin_cases import GOOD, MINE, Modest, X, Y, found, gaussian, line, namespace

from nbi_sampler.core.config import MlpConfig
from nbi_sampler.forward import forward_model_for
from nbi_sampler.networks.featurizers import featurizer_factory
from nbi_sampler.networks.flows import FLOWS, flow_factory
from nbi_sampler.networks.training.losses import LOSSES, LossKind
from nbi_sampler.networks.training.objectives import NllObjective
from nbi_sampler.plugins.manager import Plugins

BROKEN = {
    "raises when imported": ("import nothing_of_that_name", "ModuleNotFoundError.*nothing_of_that_name"),
    "exits when imported": ("raise SystemExit(3)", "SystemExit: 3"),
    "misspells a hook": (
        GOOD.replace("run_started", "run_start"),
        "'run_start' is not a hook; did you mean 'run_started'",
    ),
    "invents an argument": (
        GOOD.replace("(run)", "(run, colour)"),
        "colour.*can not be found in the hookspec",
    ),
    "forgets the marker": ("def run_started(run): pass", "implements no hook.*hookimpl"),
    "wraps others": (
        "from nbi_sampler.plugins import hookimpl\n@hookimpl(wrapper=True)\ndef flows(): return (yield)\n",
        "'flows' is a hook wrapper",
    ),
}


class TestBroken:
    @pytest.mark.parametrize("fault", BROKEN)
    def test_a_plugin_that_cannot_be_loaded_is_named_and_left_out(self, install_plugin, caplog, fault):
        code, message = BROKEN[fault]
        broken, good = install_plugin("aaa", code), install_plugin("zzz", GOOD, "4.5")
        plugins = found()
        assert good in plugins.loaded and broken not in plugins.loaded
        assert list(plugins.answers("flows", {})) == [] and "maf" in FLOWS.offers()
        assert re.search(message, plugins.broken[broken])
        (line_of_log,) = [record for record in caplog.records if "aaa" in record.getMessage()]
        assert line_of_log.levelno == logging.WARNING
        assert "plugin aaa (nbi-aaa 0.3) is not loaded" in line_of_log.getMessage()

    def test_two_of_one_name(self, install_plugin):
        first = install_plugin("same", GOOD)
        other = metadata.EntryPoint("same", "os", "nbi_sampler")
        plugins = Plugins([*metadata.entry_points(group="nbi_sampler", name="same"), other])
        assert len(plugins.loaded) == len(plugins.broken) == 1
        assert first in (*plugins.loaded, *plugins.broken)
        assert "a unique name" in next(iter(plugins.broken.values()))

    def test_a_forward_model_that_raises_leaves_the_next_to_answer(self, plugins, caplog):
        plugins.register(namespace(forward_model=lambda likelihood: 1 / 0), MINE)
        for _ in range(3):
            model = forward_model_for(gaussian())
            assert "Gaussian" in model.name and not model.plugins
        (record,) = caplog.records
        assert "mine (nbi-sampler-mine 1.2)" in record.message
        assert "forward_model raised ZeroDivisionError" in record.message

    def test_errors_of_the_package_itself_are_not_hidden(self):
        with pytest.raises(ValueError, match="non-finite"):
            forward_model_for(bilby.core.likelihood.GaussianLikelihood(X, Y * np.nan, line, sigma=0.1))

    @pytest.mark.parametrize(
        ("hook", "answer", "message"),
        [
            ("forward_model", "a string", "returned str, expected ForwardModel"),
            ("flows", ["maf"], "returned list, expected a dictionary"),
            (
                "losses",
                {"new": "nothing_of_that_name:LOSS"},
                "importing 'nothing_of_that_name:LOSS' of its losses raised ModuleNotFoundError",
            ),
            (
                "featurizers",
                {"new": MlpConfig},
                "'new' of its featurizers is a type, expected FeaturizerKind",
            ),
            ("losses", {"nll": LossKind(Modest)}, "'nll' of its losses has the name of one of nbi_sampler"),
        ],
    )
    def test_wrong_answers_are_named_and_not_taken(self, plugins, caplog, hook, answer, message):
        # A lambda with as many arguments as the hook has.
        arguments = {"forward_model": lambda likelihood: answer}
        plugins.register(namespace(**{hook: arguments.get(hook, lambda: answer)}), MINE)
        assert forward_model_for(gaussian()).name
        assert flow_factory("maf")
        assert LOSSES.named("nll").make is NllObjective
        with pytest.raises(ValueError, match="unknown name 'new'"):
            featurizer_factory("new")
        (record,) = caplog.records
        assert message in record.message and "mine (nbi-sampler-mine 1.2)" in record.message
