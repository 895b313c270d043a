"""Far tails of priors: a posterior beyond 8 sigma is reached, and its evidence is right."""

from __future__ import annotations

import numpy as np
import pytest
from bilby.core.likelihood import Likelihood
from bilby.core.prior import Gaussian, HalfGaussian, PriorDict, TruncatedGaussian
from bilby.core.prior.analytical import (
    Cauchy,
    ChiSquared,
    Exponential,
    FermiDirac,
    Gamma,
    Logistic,
    LogNormal,
    StudentT,
)
from scipy import stats
from small_runs import N_SIGMA, run_nbi

from nbi_sampler.priors.space import ParameterSpace

LAWS = {
    "gaussian": (Gaussian(1, 2), stats.norm(1, 2)),
    "log-normal": (LogNormal(0, 1), stats.lognorm(1.0)),
    "half-normal": (HalfGaussian(2), stats.halfnorm(scale=2)),
    "truncated, on both sides": (TruncatedGaussian(0, 1, -50, 60), stats.norm(0, 1)),
    "truncated, in its tail": (TruncatedGaussian(0, 1, 2, 50), stats.truncnorm(2, 50)),
    "student": (StudentT(3, 0, 1), stats.t(3)),
    "cauchy": (Cauchy(0, 1), stats.cauchy()),
    "logistic": (Logistic(0, 1), stats.logistic()),
    "exponential": (Exponential(2.0), stats.expon(scale=2)),
    "gamma": (Gamma(2.0, 3.0), stats.gamma(2.0, scale=3.0)),
    "chi-squared": (ChiSquared(4), stats.chi2(4)),
}


@pytest.mark.parametrize("z", [-5.0, 3.0, 9.0, 12.0, 30.0])
@pytest.mark.parametrize("name", LAWS)
def test_a_tail_is_where_its_probability_says(name, z):
    prior, law = LAWS[name]
    space = ParameterSpace(PriorDict({"a": prior}))
    theta = space.to_theta(np.array([[z]]))
    if name == "student" and z > 20:
        # Where only 1e-100 is left, which is beyond anything that could be told apart.
        assert np.isfinite(theta).all()
        return
    left = law.logsf(theta[0, 0]) if z > 0 else law.logcdf(theta[0, 0])
    assert left == pytest.approx(stats.norm.logsf(abs(z)), rel=1e-6)
    assert space.to_z(theta) == pytest.approx(np.array([[z]]), rel=1e-6)


def test_the_tail_of_fermi_and_dirac_goes_on_beyond_eight_sigma():
    space = ParameterSpace(PriorDict({"a": FermiDirac(sigma=1.0, r=10.0)}))
    theta = space.to_theta(np.array([[9.0], [12.0], [30.0]]))
    assert (np.diff(theta[:, 0]) > 10.0).all()
    assert space.to_z(theta)[:, 0] == pytest.approx([9.0, 12.0, 30.0], rel=1e-6)


class Far(Likelihood):
    """A Gaussian of width 0.7 around 15 in every parameter."""

    def __init__(self, names):
        super().__init__()
        self.names = names

    def log_likelihood(self, parameters):
        return -0.5 * sum(((parameters[name] - 15.0) / 0.7) ** 2 for name in self.names)


@pytest.mark.slow
@pytest.mark.usefixtures("small_fits")
@pytest.mark.parametrize("priors", [{"a": HalfGaussian(1)}, {"a": Gaussian(0, 1), "b": Gaussian(3, 1)}])
def test_a_posterior_ten_sigma_out_in_the_prior_is_found(priors, tmp_path):
    twice = {"HalfGaussian": np.log(2.0), "Gaussian": 0.0}
    exact = 0.5 * len(priors) * np.log(2 * np.pi * 0.49)
    for prior in priors.values():
        exact += stats.norm.logpdf(15, prior.mu, np.hypot(1, 0.7)) + twice[type(prior).__name__]
    result = run_nbi(Far(list(priors)), PriorDict(priors), tmp_path, n_sims=900, n_effective=200)
    own = result.meta_data["nbi"]
    assert own["status"] == "ok", own["message"]
    assert abs(result.log_evidence - exact) < N_SIGMA * result.log_evidence_err
