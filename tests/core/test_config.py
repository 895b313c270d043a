"""Settings: valid by default, unchangeable, and refused with the nearest name or the expected range."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from nbi_sampler.core import config
from nbi_sampler.core.config import MafConfig, SequenceConfig, SnpeConfig, TrainingConfig, build, nearest

KINDS = [getattr(config, name) for name in config.__all__ if name.endswith("Config")]

WRONG = [
    (MafConfig, {"flow_hidden": 0}, "flow_hidden: expected an integer of at least 1, got 0"),
    (MafConfig, {"num_blocks": -1}, "num_blocks"),
    (MafConfig, {"n_mog": 1.5}, "n_mog: expected an integer of at least 1, got 1.5"),
    (MafConfig, {"n_mog": True}, "n_mog"),
    (MafConfig, {"log_scale_bound": 0.0}, "log_scale_bound: expected a positive number"),
    (config.NsfConfig, {"bins": 0}, "bins"),
    (config.GmmConfig, {"n_mog": 0}, "n_mog"),
    (config.PcaConfig, {"n_components": 0}, "n_components"),
    (config.PcaConfig, {"minimum_signal": 0.0}, "minimum_signal"),
    (config.MlpConfig, {"depth": 0}, "depth"),
    (SequenceConfig, {"dim_in": 0}, "dim_in"),
    (SequenceConfig, {"depth": -1}, "depth"),
    (config.AttentionConfig, {"depth": 0}, "depth"),
    (config.AttentionConfig, {"n_bands": 0}, "n_bands"),
    (TrainingConfig, {"n_epochs": 0}, "n_epochs"),
    (TrainingConfig, {"n_atoms": 1}, "n_atoms: expected an integer of at least 2"),
    (TrainingConfig, {"validation_share": 0.0}, "validation_share"),
    (TrainingConfig, {"validation_share": 1.0}, "validation_share"),
    (TrainingConfig, {"learning_rate": math.nan}, "learning_rate"),
    (SnpeConfig, {"n_effective": 0}, "n_effective"),
    (SnpeConfig, {"n_effective": math.nan}, "n_effective"),
    (SnpeConfig, {"n_effective": "5000"}, "n_effective: expected a positive number, got '5000'"),
    (SnpeConfig, {"n_rounds": 0}, "n_rounds"),
    (SnpeConfig, {"n_sims": 10}, "n_sims"),
    (SnpeConfig, {"n_sims": "some"}, "n_sims"),
    (SnpeConfig, {"loss": None}, "loss: expected the name of a loss, such as 'nll' or 'apt', got None"),
    (SnpeConfig, {"refine": "yes"}, "refine"),
    (SnpeConfig, {"max_likelihood_calls": 0}, "max_likelihood_calls"),
    (SnpeConfig, {"seed": -1}, "seed"),
]


@pytest.mark.parametrize("kind", KINDS)
def test_defaults_are_valid_and_cannot_be_changed(kind):
    made = kind()
    name = dataclasses.fields(kind)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(made, name, getattr(made, name))


@pytest.mark.parametrize("kind", KINDS)
def test_settings_are_by_keyword_only(kind):
    with pytest.raises(TypeError):
        kind(10)


@pytest.mark.parametrize(("kind", "settings", "message"), WRONG)
def test_what_makes_no_sense_is_refused_by_name(kind, settings, message):
    with pytest.raises(ValueError, match=message):
        kind(**settings)


@pytest.mark.parametrize("kind", KINDS)
def test_counts_from_numpy_are_counts(kind):
    counts = {
        field.name: np.int64(field.default)
        for field in dataclasses.fields(kind)
        if isinstance(field.default, int) and not isinstance(field.default, bool)
    }
    assert kind(**counts) == kind()


def test_an_unknown_key_names_the_nearest_and_the_argument():
    with pytest.raises(ValueError, match="flow: unknown setting 'flow_hiden'; did you mean 'flow_hidden'"):
        build(MafConfig, {"flow_hiden": 3}, "flow")
    assert build(MafConfig, {"flow_hidden": 3}, "flow") == MafConfig(flow_hidden=3)


def test_a_name_like_no_other_gets_the_list():
    assert nearest("zzz", ["maf", "nsf"]) == "valid: maf, nsf"
    assert nearest("MAFF".lower(), ["maf", "nsf"]) == "did you mean 'maf'?"
