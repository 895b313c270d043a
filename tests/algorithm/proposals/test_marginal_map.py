"""The map to normal marginals: its inverse and Jacobian, and what it finds in skewed draws."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from nbi_sampler.algorithm.mixture import Fitting, MixtureFit
from nbi_sampler.algorithm.proposals.kernels import MarginalKernels
from nbi_sampler.algorithm.proposals.marginal_map import MarginalMap
from nbi_sampler.algorithm.proposals.proposal import log_ratios
from nbi_sampler.algorithm.proposals.weighted_draws import WeightedDraws
from nbi_sampler.algorithm.target import Target
from nbi_sampler.storage.objects import PROPOSAL_KINDS, Packer, unpack


def skewed(rng, n=2000):
    """A log-gamma, a Student t with three degrees of freedom and a normal distribution."""
    columns = [np.log(rng.gamma(1.0, size=n)), rng.standard_t(3, size=n), rng.normal(size=n)]
    return 0.3 * np.array(columns).T


def test_its_inverse_and_its_jacobian(rng):
    one = MarginalMap.fitted(skewed(rng))
    z = skewed(rng, 50)
    y, log_jacobian = one.forward(z)
    assert one.backward(y) == pytest.approx(z, abs=1e-12)
    step = 1e-6
    slopes = (one.forward(z + step)[0] - one.forward(z - step)[0]) / (2.0 * step)
    assert log_jacobian == pytest.approx(np.log(slopes).sum(axis=1), abs=1e-6)


def test_marginals_are_nearly_normal_after_it(rng):
    one = MarginalMap.fitted(skewed(rng))
    y, _ = one.forward(skewed(rng, 20_000))
    # Before it, the first two are 0.07 and 0.08 from the normal distribution of their mean and deviation.
    for column in y.T:
        assert stats.kstest(column, "norm").statistic < 0.03


def test_the_gain_is_that_of_density_and_nothing_for_normal_draws(rng):
    normal = rng.normal(size=(2000, 4)) * [1.0, 1e-9, 1e6, 0.1]
    assert 0.0 <= MarginalMap.fitted(normal).gain(normal) < 0.01
    one, z = MarginalMap.fitted(skewed(rng)), skewed(rng, 50_000)
    y, log_jacobian = one.forward(z)
    mapped = stats.norm.logpdf(y).sum(axis=1) + log_jacobian
    before = stats.norm.logpdf(z, z.mean(axis=0), z.std(axis=0)).sum(axis=1)
    assert one.gain(z) == pytest.approx((mapped - before).mean(), abs=1e-9)
    assert one.gain(z) > 0.15


@pytest.mark.parametrize(
    "column",
    [np.zeros(500), np.full(500, 7.5), np.repeat([-1.0, 1.0], 250), np.r_[np.zeros(499), 1e3]],
    ids=["zero", "one place", "two places", "far outlier"],
)
def test_no_draws_are_too_odd(column):
    z = np.array([column, np.linspace(-1.0, 1.0, 500)]).T
    one = MarginalMap.fitted(z)
    y, log_jacobian = one.forward(z)
    assert np.isfinite(y).all() and np.isfinite(log_jacobian).all() and np.isfinite(one.backward(y)).all()


def test_a_skewed_posterior_in_many_dimensions_gets_an_efficient_proposal_from_few_draws(rng):
    """600 draws of a product of 12 log-gamma distributions: 66 to 72 %, and without the map at most 38 %."""
    scale, n_dim = 0.3, 12

    def log_target(z):
        """Relative to the prior."""
        y = z / scale
        return (y - np.exp(y) + 0.5 * z**2).sum(axis=1)

    z = scale * np.log(rng.gamma(1.0, size=(600, n_dim)))
    target = Target.of_samples(WeightedDraws(z, np.zeros(len(z))), log_target(z))
    fit = MixtureFit(target, np.zeros(n_dim, dtype=bool), Fitting(None, None, rng))
    proposal, _ = fit.proposal(with_flow=False)
    assert any(isinstance(member, MarginalKernels) for member in proposal.members)
    drawn = proposal.sample(4000, rng)
    log_weights = log_target(drawn) - proposal.log_ratio(drawn)
    weights = np.exp(log_weights - log_weights.max())
    assert weights.sum() ** 2 / (weights**2).sum() > 0.45 * len(drawn)


def mapped_members(z, rng):
    """Members with mapped marginals of a mixture that is fitted to samples."""
    target = Target.of_samples(WeightedDraws(z, np.zeros(len(z))), None)
    fit = MixtureFit(target, np.zeros(z.shape[1], dtype=bool), Fitting(None, None, rng))
    proposal, _ = fit.proposal(with_flow=False)
    return [member for member in proposal.members if isinstance(member, MarginalKernels)]


def test_a_few_draws_get_none_as_it_would_fit_them_alone(rng):
    assert mapped_members(skewed(rng, 500), rng)
    assert not mapped_members(skewed(rng, 4), rng)


def test_it_is_kept_in_files(rng):
    z = skewed(rng)
    (kernels,) = mapped_members(z, rng)
    packer = Packer(PROPOSAL_KINDS)
    packed = packer.pack(kernels)
    again = unpack(packed, packer.objects, packer.arrays, PROPOSAL_KINDS, None, None, 3)
    np.testing.assert_array_equal(*log_ratios((kernels, again), z))
