"""The likelihoods that are recognised, and those that are refused because they would be silently wrong."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from bilby.core import likelihood as bl
from forward_cases import (
    LIKELIHOODS,
    N_DATA,
    REAL,
    X,
    generator,
    line,
    line_of_sigma,
    model_of,
    rate,
    tensors,
)

from nbi_sampler.forward import forward_model_for


class OwnLogLikelihood(bl.GaussianLikelihood):
    def log_likelihood(self, parameters=None):
        return super().log_likelihood(parameters) / 2


class OwnResidual(bl.GaussianLikelihood):
    def residual(self, parameters=None):
        return 2 * super().residual(parameters)


class OwnData(bl.GaussianLikelihood):
    @property
    def y(self):
        return self._y + 1

    @y.setter
    def y(self, y):
        self._y = y


class OwnScale(bl.StudentTLikelihood):
    lam = 3.0


@pytest.mark.parametrize("cls", [OwnLogLikelihood, OwnResidual, OwnData, OwnScale])
def test_overriding_subclass_is_not_recognised(cls):
    assert forward_model_for(cls(X, REAL, line, sigma=0.3)) is None


def test_overridden_instance_is_not_recognised():
    likelihood = bl.GaussianLikelihood(X, REAL, line, sigma=0.3)
    likelihood.log_likelihood = lambda parameters=None: 0.0
    assert forward_model_for(likelihood) is None


def test_other_likelihoods_are_not_recognised():
    gaussian = bl.GaussianLikelihood(X, REAL, line, sigma=0.3)
    own = OwnLogLikelihood(X, REAL, line, sigma=0.3)
    assert forward_model_for(bl.Likelihood()) is None
    assert forward_model_for(bl.ZeroLikelihood(gaussian)) is None
    assert forward_model_for(bl.JointLikelihood(gaussian, own)) is None
    assert forward_model_for(object()) is None


def test_bilbys_deprecated_state_is_not_read():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in ("gaussian", "gaussian, unknown sigma", "student-t", "student-t, unknown nu"):
            model_of(LIKELIHOODS[name])


def test_layout_of_channels():
    two = np.stack([REAL, REAL + 1])
    gaussian = bl.GaussianLikelihood(np.arange(2), two, lambda x, m: m + np.zeros((2, N_DATA)), sigma=0.3)
    model = forward_model_for(gaussian)
    assert model.shape == (2, N_DATA)
    assert model.simulate({"m": 1.0}).shape == (2 * N_DATA,)
    with pytest.raises(NotImplementedError):
        model.simulate_batch({"m": np.ones(3)})
    assert model_of(LIKELIHOODS["joint, whitened"]).shape == (2, N_DATA)
    assert model_of(LIKELIHOODS["joint"]).shape == (1, N_DATA + 5)


def test_nested_joint_and_predicting_sigma():
    inner = bl.JointLikelihood(
        bl.GaussianLikelihood(X, REAL, line), bl.GaussianLikelihood(X, REAL, line_of_sigma)
    )
    model = forward_model_for(bl.JointLikelihood(inner, bl.GaussianLikelihood(X, REAL, line, sigma=0.1)))
    # One part reads sigma in its function, so that a prediction cannot be kept when sigma changes.
    assert model.noise_parameters == ()
    assert set(model.prediction_parameters) == {"m", "c", "sigma"}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda y: bl.GaussianLikelihood(X, y, line, sigma=0.3), "2 non-finite.*mask"),
        (lambda y: bl.ExponentialLikelihood(X, np.abs(y), rate), "2 non-finite.*mask"),
        (lambda y: bl.StudentTLikelihood(X, y, line, nu=3.0), "2 non-finite.*mask"),
        (lambda y: bl.GaussianLikelihood(X, np.ma.masked_invalid(y), line, sigma=0.3), "2 masked"),
        (lambda y: bl.GaussianLikelihood(X, REAL + 1j, line, sigma=0.3), "complex"),
        (
            lambda y: bl.GaussianLikelihood(X, REAL, line, sigma=np.where(X > 0.5, np.inf, 1.0)),
            "sigma.*finite",
        ),
        (lambda y: bl.GaussianLikelihood(X, REAL, line, sigma=0.0), "sigma.*zero"),
        (lambda y: bl.Multinomial([1, 2, 3], 4), "classes"),
    ],
)
def test_unusable_data_are_refused(make, message):
    y = REAL.copy()
    y[[1, 5]] = np.nan
    with pytest.raises(ValueError, match=message):
        forward_model_for(make(y))


def test_missing_sigma_is_named():
    model = forward_model_for(bl.GaussianLikelihood(X, REAL, line))
    columns = {"m": np.ones(2), "c": np.ones(2)}
    with pytest.raises(ValueError, match=r"sigma.*prior"):
        model.log_likelihood(np.ones((2, N_DATA)), columns)
    with pytest.raises(ValueError, match=r"sigma.*prior"):
        model.noise(torch.ones(2, N_DATA), tensors(columns), generator())
