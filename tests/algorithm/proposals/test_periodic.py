"""The cut of periodic parameters: an exact rotation of the circle, put where the draws are thinnest."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.special import ndtr, ndtri

from nbi_sampler.algorithm.proposals.periodic import apply_cut, remove_cut
from nbi_sampler.algorithm.proposals.weighted_draws import WeightedDraws


def on_circle(rng, centre, width, n=4000):
    """Draws of a wrapped normal on the circle of quantiles, as latent coordinates of shape (n, 1)."""
    return ndtri(rng.normal(centre, width, n) % 1.0)[:, None]


class TestRotation:
    def test_no_cut_leaves_every_bit(self, rng):
        z = rng.normal(size=(100, 3)) * 5
        np.testing.assert_array_equal(apply_cut(z, np.zeros(3)), z)
        np.testing.assert_array_equal(remove_cut(z, np.zeros(3)), z)

    def test_it_rotates_the_quantiles_and_only_those_asked_for(self, rng):
        z = rng.normal(size=(1000, 3))
        turned = apply_cut(z, np.array([0.0, 0.3, 0.0]))
        np.testing.assert_array_equal(turned[:, [0, 2]], z[:, [0, 2]])
        np.testing.assert_allclose(ndtr(turned[:, 1]), (ndtr(z[:, 1]) - 0.3) % 1.0, atol=1e-12)

    @pytest.mark.parametrize("cut", [0.01, 0.5, 0.999])
    def test_one_undoes_the_other(self, rng, cut):
        z, cuts = rng.normal(size=(10_000, 2)), np.array([cut, 0.0])
        np.testing.assert_allclose(remove_cut(apply_cut(z, cuts), cuts), z, atol=1e-9)
        np.testing.assert_allclose(apply_cut(remove_cut(z, cuts), cuts), z, atol=1e-9)

    def test_the_prior_stays_a_standard_normal(self, rng):
        turned = apply_cut(rng.normal(size=(20_000, 1)), np.array([0.37]))
        assert stats.kstest(turned[:, 0], "norm").pvalue > 1e-4

    def test_arguments_are_left_alone_and_far_tails_stay_finite(self):
        z = np.array([[-40.0], [40.0], [0.0]])
        before = z.copy()
        for turned in (apply_cut(z, np.array([0.5])), remove_cut(z, np.array([0.5]))):
            assert np.isfinite(turned).all()
            np.testing.assert_array_equal(z, before)


class TestThinnestCut:
    @pytest.mark.parametrize("centre", [0.0, 0.1, 0.48, 0.77, 0.99])
    def test_a_mode_is_not_cut_in_two(self, rng, centre):
        z = on_circle(rng, centre, 0.04)
        cut = WeightedDraws(z, np.zeros(len(z))).thinnest_cut(np.array([True]))
        turned = ndtr(apply_cut(z, cut))
        assert 0.25 < turned.min() < turned.max() < 0.75
        assert np.std(turned) == pytest.approx(0.04, rel=0.1)

    def test_without_the_cut_the_same_mode_is_in_two_pieces(self, rng):
        assert np.std(ndtr(on_circle(rng, 0.0, 0.04))) > 0.4

    def test_two_modes_are_parted_in_the_wider_gap(self, rng):
        z = np.concatenate([on_circle(rng, 0.9, 0.02), on_circle(rng, 0.2, 0.02)])
        cut = WeightedDraws(z, np.zeros(len(z))).thinnest_cut(np.array([True]))
        assert cut[0] == pytest.approx(0.55, abs=0.05)

    def test_weights_decide_and_not_the_number_of_draws(self, rng):
        z = np.concatenate([on_circle(rng, 0.0, 0.03, 1000), rng.normal(size=(20_000, 1))])
        draws = WeightedDraws(z, np.where(np.arange(len(z)) < 1000, 0.0, -np.inf))
        assert draws.thinnest_cut(np.array([True]))[0] == pytest.approx(0.5, abs=0.1)

    def test_only_periodic_parameters_are_cut(self, rng):
        z = np.concatenate([on_circle(rng, 0.0, 0.03)] * 3, axis=1)
        cut = WeightedDraws(z, np.zeros(len(z))).thinnest_cut(np.array([False, True, False]))
        assert cut[0] == cut[2] == 0.0
        assert 0.3 < cut[1] < 0.7

    def test_an_even_circle_and_a_single_draw_give_a_cut_in_range(self, rng):
        even = ndtri((np.arange(2400) + 0.5) / 2400)[:, None]
        assert 0 <= WeightedDraws(even, np.zeros(len(even))).thinnest_cut(np.array([True]))[0] < 1
        single = WeightedDraws(np.zeros((1, 1)), np.zeros(1)).thinnest_cut(np.array([True]))
        assert abs(ndtr(apply_cut(np.array([[0.0]]), single))[0, 0] - 0.5) < 0.1
