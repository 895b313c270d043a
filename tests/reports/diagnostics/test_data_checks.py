"""Checks of data that the model may not make: predictive ones, the out-of-distribution test, their page."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from nbi_sampler.amortised.out_of_distribution import OutOfDistributionTest
from nbi_sampler.reports.diagnostics import Assessment, chi_squared, page, predictive_check


class TestPredictiveCheck:
    @staticmethod
    def p_value(rng, true_sigma=1.0, weighted=False):
        """Check of a mean fitted to 30 points, with a wide prior."""
        data = true_sigma * rng.normal(size=30)
        width = 1 / np.sqrt(30)
        proposed = width * 1.3 if weighted else width
        mean = rng.normal(data.mean(), proposed, 300)
        weights = None
        if weighted:
            right, drawn = (stats.norm(data.mean(), s).pdf(mean) for s in (width, proposed))
            weights = right / drawn
        predictions = np.repeat(mean[:, None], 30, 1)
        replicated = predictions + rng.normal(size=predictions.shape)
        return predictive_check(data, replicated, predictions, chi_squared(np.ones(30)), weights).p_value

    @pytest.mark.parametrize("weighted", [False, True])
    def test_small_values_are_no_more_frequent_than_promised(self, rng, weighted):
        found = np.array([self.p_value(rng, weighted=weighted) for _ in range(400)])
        for level in (0.02, 0.1, 0.25):
            bound = 2 * level
            assert np.mean(found < level) < bound + 4 * np.sqrt(bound / 400)
        assert abs(found.mean() - 0.5) < 4.5 * 0.29 / 20

    def test_noise_that_was_larger_than_claimed_is_seen(self, rng):
        assert max(self.p_value(rng, true_sigma=2.0) for _ in range(10)) < 0.01

    def test_missing_points_do_not_count(self, rng):
        data, predictions = rng.normal(size=5), rng.normal(size=(20, 5))
        replicated = predictions + rng.normal(size=(20, 5))
        uncertainty = np.array([1.0, 2.0, np.inf, 1.0, np.inf])
        data[2] = replicated[:, 4] = np.nan
        check = predictive_check(data, replicated, predictions, chi_squared(uncertainty))
        kept = [0, 1, 3]
        expected = predictive_check(
            data[kept], replicated[:, kept], predictions[:, kept], chi_squared(uncertainty[kept])
        )
        assert check.p_value == expected.p_value
        np.testing.assert_array_equal(check.observed, expected.observed)

    def test_shapes_that_do_not_belong_together_are_refused(self):
        with pytest.raises(ValueError, match=r"expected the shape \(n_samples, \*\(3,\)\)"):
            predictive_check(np.zeros(3), np.zeros((5, 4)), np.zeros((5, 4)), chi_squared(np.ones(3)))
        with pytest.raises(ValueError, match="weights: expected 5"):
            predictive_check(
                np.zeros(3), np.zeros((5, 3)), np.zeros((5, 3)), chi_squared(np.ones(3)), np.zeros(5)
            )


class TestOutOfDistribution:
    @staticmethod
    def features(rng, n, k):
        """Heavy-tailed, two heaps, of very different scales, some of them nearly copies of others."""
        heaps = 4 * rng.integers(0, 2, (n, 1)) * np.arange(k)
        found = (rng.standard_t(4, (n, k)) + heaps) * 10.0 ** np.linspace(-3, 3, k)
        found[:, k // 2 :] = found[:, : k - k // 2] + 1e-9 * found[:, k // 2 :]
        return found

    @pytest.mark.takes_seconds
    @pytest.mark.parametrize(("n", "k"), [(500, 3), (60, 200)])
    def test_p_values_of_data_like_the_simulations_are_uniform(self, rng, n, k):
        found = []
        for _ in range(150):
            known = self.features(rng, n + 1, k)
            found.append(OutOfDistributionTest.fit(known[:-1], rng).p_value(known[-1])[0])
        # On a lattice of 1 / (m + 1): made continuous within its steps.
        step = 1 / (n // 2 + 1)
        assert stats.kstest(np.array(found) - step * rng.random(150), "uniform").pvalue > 1e-3

    @pytest.mark.parametrize("k", [3, 60])
    def test_strange_data_are_seen_in_few_and_many_dimensions(self, rng, k):
        mixing = rng.normal(size=(k, k))
        test = OutOfDistributionTest.fit(rng.normal(size=(1000, k)) @ mixing, rng)
        shifted = rng.normal(size=(50, k))
        shifted[:, 0] += 12.0
        assert np.quantile(test.p_value(shifted @ mixing), 0.9) < 0.02
        assert np.quantile(test.p_value(2.5 * rng.normal(size=(50, k)) @ mixing), 0.5) < 0.02

    def test_units_and_constant_features_do_not_matter(self, rng):
        known, new = rng.normal(size=(200, 4)), rng.normal(size=(10, 4))
        known[:, 3] = new[:, 3] = 2.0
        units = np.array([1e-8, 1.0, 1e8, 5.0])
        first, other = (
            OutOfDistributionTest.fit(known * u, np.random.default_rng(0)).p_value(new * u)
            for u in (1.0, units)
        )
        np.testing.assert_array_equal(first, other)

    def test_what_is_not_finite_is_strange(self, rng):
        test = OutOfDistributionTest.fit(rng.normal(size=(100, 2)), rng)
        assert test.p_value([np.nan, 0.0]) == test.p_value([np.inf, 0.0]) == 1 / 51

    def test_too_few_or_broken_simulations_are_refused(self, rng):
        for known in (np.zeros((19, 2)), np.full((50, 2), np.nan), np.zeros(50)):
            with pytest.raises(ValueError, match=r"features: expected finite ones of shape \(n, k\)"):
                OutOfDistributionTest.fit(known, rng)


@pytest.mark.takes_seconds
@pytest.mark.usefixtures("quick_pictures")
class TestPage:
    @staticmethod
    def assessment(rng, n_dim):
        return Assessment(
            tuple(f"parameter_{i}" for i in range(n_dim)),
            rng.random((50, n_dim)),
            rng.random(50),
            rng.random(50) if n_dim != 1 else None,
        )

    @pytest.mark.parametrize(("n_dim", "ending"), [(1, "pdf"), (30, "png")])
    @pytest.mark.parametrize("more", [False, True])
    def test_it_is_written_with_what_there_is(self, tmp_path, rng, n_dim, ending, more):
        test = OutOfDistributionTest.fit(rng.normal(size=(100, 2)), rng)
        check = predictive_check(
            np.zeros(3), rng.normal(size=(20, 3)), np.zeros((20, 3)), chi_squared(np.ones(3))
        )
        every = {"out_of_distribution": test, "features": [[0.0, np.nan], [9.0, 9.0]], "predictive": check}
        path = tmp_path / "plots" / f"page.{ending}"
        assert page(path, self.assessment(rng, n_dim), **(every if more else {})) == path
        assert path.read_bytes()[:4] in (b"\x89PNG", b"%PDF") and path.stat().st_size > 5000

    @pytest.mark.parametrize("ending", ["html", "HTM"])
    def test_html_is_one_file_with_a_verdict_and_a_sentence_for_each_panel(self, tmp_path, rng, ending):
        right = self.assessment(rng, 2)
        test = OutOfDistributionTest.fit(rng.normal(size=(100, 2)), rng)
        path = page(tmp_path / "new" / f"page.{ending}", right, out_of_distribution=test)
        text = path.read_text(encoding="utf-8")
        assert text.startswith("<!doctype html>") and 'src="data:image/png;base64,' in text
        assert "http" not in text and "no test speaks against" in text
        for title in ("Calibration of each parameter", "Tests", "Coverage", "Out of distribution"):
            assert f"<b>{title}</b>" in text
        assert "Predictive check" not in text
        narrow = Assessment(("a<b",), 0.3 * rng.random((300, 1)), rng.random(300), None)
        text = page(path, narrow).read_text(encoding="utf-8")
        assert "these posteriors are not calibrated; the smallest p-value is that of a&lt;b" in text
        assert "a<b" not in text
