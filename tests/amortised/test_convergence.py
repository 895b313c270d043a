"""A training that ends while it is still learning says so; settings that suit a featurizer."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from engine_cases import QUICK, an_engine

from nbi_sampler.amortised import convergence
from nbi_sampler.amortised.convergence import unfinished
from nbi_sampler.amortised.fitting import training_config
from nbi_sampler.core.config import SIGNALS, ConvergenceConfig, TrainingConfig
from nbi_sampler.networks.training.fit import TrainingInfo


def info(*losses):
    return TrainingInfo(min(losses), losses, losses, n_steps=10, n_skipped=0, seconds=1.0)


@pytest.mark.parametrize(
    ("losses", "n_epochs", "fall"),
    [
        ((5.0, 4.0, 3.0, 2.0, 1.0), 5, "1.00 in the last 1 of 5"),
        (tuple(np.linspace(5.0, 1.0, 20)), 20, "0.84 in the last 4 of 20"),
        (tuple(3.0 + np.exp(-np.arange(20.0))), 20, ""),
        # It rose at the end: patience was short, or the epochs were few.
        ((5.0, 3.0, 2.0, 1.5, 2.5), 5, ""),
        # It stopped early, by patience.
        ((5.0, 4.0, 3.0, 2.0, 1.0), 50, ""),
        ((5.0,), 1, ""),
        ((5.0, 4.0, 3.0, 2.0, np.nan), 5, ""),
    ],
    ids=["falls", "falls slowly", "flat", "rises", "stopped", "one epoch", "nan"],
)
def test_a_loss_that_still_falls_is_told(losses, n_epochs, fall):
    told = unfinished(info(*losses), n_epochs)
    assert (fall in told and f"pass n_epochs={2 * n_epochs}" in told) if fall else told == ""


@pytest.mark.takes_seconds
def test_the_engine_says_so_in_the_log_and_only_then(caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("bilby"), "propagate", True)
    # The loss of this small problem falls by 0.21 in the second epoch of two.
    monkeypatch.setattr(convergence, "CONVERGENCE", ConvergenceConfig(most_fall=0.1))
    with caplog.at_level(logging.WARNING, "bilby"):
        an_engine().fit(1200, n_epochs=2, training={**QUICK, "learning_rate": 5e-3}, print_method="none")
    assert "training: the loss of held-out simulations still fell by" in caplog.text
    assert "pass n_epochs=4" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING, "bilby"):
        an_engine().fit(600, n_epochs=20, training=QUICK, print_method="none")
    assert "still fell" not in caplog.text


@pytest.mark.parametrize("name", ["resnet-gru", "resnet", "gru", "resnet2d"])
def test_networks_on_series_have_training_settings_of_their_own(name):
    config = training_config({"type": name, "depth": 3}, {"n_epochs": 7})
    assert (config.batch_size, config.learning_rate) == (SIGNALS.batch_size, SIGNALS.learning_rate)
    assert config.n_epochs == 7
    # What the user says counts.
    assert training_config(name, {"learning_rate": 0.5}).learning_rate == 0.5


@pytest.mark.parametrize(
    "what", ["mlp", "attention", {"type": "pca"}, [{"type": "gru", "shape": (1, 3)}]], ids=str
)
def test_all_others_have_the_common_ones(what):
    assert training_config(what, {}) == TrainingConfig()


def test_a_wrong_setting_is_refused_before_the_first_simulation():
    with pytest.raises(ValueError, match="did you mean 'batch_size'"):
        an_engine(simulator=None).fit(10, training={"batchsize": 3})
