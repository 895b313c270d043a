"""Figures of a run can be read, whatever is in it."""

from __future__ import annotations

import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest
from bilby.core.prior import PriorDict, Uniform
from plot_cases import made_view, overlaps, records

from nbi_sampler.forward import UserModel
from nbi_sampler.priors.space import ParameterSpace
from nbi_sampler.reports.plots.axis_scale import AxisScale
from nbi_sampler.reports.plots.data import data_figure
from nbi_sampler.reports.plots.predictive import abscissa, predict
from nbi_sampler.reports.plots.run import figures_of
from nbi_sampler.reports.plots.style import compact, own_style, with_errors


class TestNumbers:
    @pytest.mark.parametrize(
        ("quantiles", "text"),
        [
            ((5379.569, 5379.52, 5379.618), "$5379.569_{-0.049}^{+0.049}$"),
            ((-0.001, -0.21, 0.2), "$0.00_{-0.21}^{+0.20}$"),
            ((3.1e7, 3.0e7, 3.3e7), r"$(3.10_{-0.10}^{+0.20})\times10^{7}$"),
            ((12.0, -100.0, 200.0), "$12_{-112}^{+188}$"),
            ((math.inf, 0.0, math.inf), "inf"),
        ],
    )
    def test_value_has_the_digits_that_its_errors_leave(self, quantiles, text):
        assert with_errors(*quantiles) == text

    def test_counts_fit_below_an_axis(self):
        assert [compact(count) for count in (0, 999, 999_999, 123_456_789)] == ["0", "999", "1M", "123M"]

    @pytest.mark.parametrize(("centre", "width"), [(0.0, 1.0), (1328.3, 0.01), (-1e-21, 1e-23), (7.0, 0.0)])
    def test_stretched_axis_shows_both_ends_and_the_middle(self, centre, width):
        scale = AxisScale.about(centre, width)
        low, high = centre - 1e4 * scale.width, centre + 3e3 * scale.width
        ticks = np.array(scale.ticks(low, high))
        assert len(ticks) == 5
        assert np.all(np.diff(scale.forward(ticks)) > 0.5 * np.diff(scale.forward([low, high])) / 5)
        np.testing.assert_allclose(scale.inverse(scale.forward(ticks)), ticks, rtol=1e-9)


LONG = "a sentence of a status that says what was found and what could be done about it, " * 4
NO_FIT = dict(training_loss=(), validation_loss=())
NOT_FINITE = dict(log_evidence=-np.inf, log_evidence_err=np.inf, ess=0.0, efficiency=0.0)
ODD_LOSSES = dict(training_loss=(np.nan,) * 3, validation_loss=(np.nan, 1.0, np.inf))
VIEWS = {
    "one of everything": dict(n=1, n_dim=1),
    "many batches": dict(n=45),
    "fifteen parameters": dict(n_dim=15, n=6),
    "equal weights of a run that goes on": dict(spread=0.0, status=""),
    "heavy tail": dict(spread=4.0, status="unreliable weights", message=LONG),
    "one weight": dict(n_weights=1, status="few distinct samples", message=LONG),
    "losses that are no numbers": dict(records=records(3, 2, **ODD_LOSSES)),
    "nothing finite": dict(
        n_weights=0,
        records=records(4, 2, **NO_FIT, **NOT_FINITE),
        status="no finite likelihood",
        message=LONG,
    ),
}


@pytest.mark.parametrize("case", VIEWS)
def test_figures_can_be_read(case):
    for name, make in figures_of(made_view(**VIEWS[case])).items():
        with own_style():
            outside, pairs = overlaps(make())
        assert not outside, f"{name}: beyond the edge: {outside}"
        assert not pairs, f"{name}: on each other: {pairs}"


def test_overlap_would_be_found():
    with own_style():
        figure = figures_of(made_view())["run"]()
        figure.text(0.5, 0.5, "first")
        figure.text(0.501, 0.5, "second")
        figure.text(0.99, 0.3, "beyond the edge")
        outside, pairs = overlaps(figure)
    assert ("first", "second") in pairs
    assert outside == ["beyond the edge"]


class TestPredictions:
    space = ParameterSpace(PriorDict({"a": Uniform(0, 5), "b": Uniform(-1, 1)}))
    theta = np.column_stack([np.linspace(1, 3, 50), np.zeros(50)])
    weights = np.full(50, 1 / 50)

    def model(self, simulator=None, noise=0.5, n=40):
        observed = 2.0 + 0.5 * np.random.default_rng(1).normal(size=n)
        return UserModel(simulator or (lambda p: np.full(n, p["a"])), noise, observed)

    def test_bands_are_those_of_the_posterior(self):
        found = predict(self.model(), self.space, self.theta, self.weights)
        assert found.predictions.shape == (200, 1, 40)
        assert found.noise == pytest.approx(0.5, rel=4.5 / math.sqrt(2 * len(found.replicated)))
        # A uniform distribution of width 2, of 200 draws.
        error = 2.0 / math.sqrt(12 * 200)
        assert found.predictions.mean() == pytest.approx(2.0, abs=4.5 * error)
        outer = np.quantile(found.replicated, [0.025, 0.975], axis=0)
        assert np.all(outer[1] - outer[0] > 1.9)
        assert "40 points lie within the 95 % interval" in found.summary

    def test_weights_count(self):
        weights = np.eye(50)[7]
        found = predict(self.model(), self.space, self.theta, weights)
        assert np.all(found.predictions == self.theta[7, 0])

    def test_a_slow_model_is_called_no_longer_than_allowed(self, monkeypatch):
        clock = itertools.count()
        monkeypatch.setattr("nbi_sampler.reports.plots.predictive.time.monotonic", lambda: float(next(clock)))
        assert len(predict(self.model(), self.space, self.theta, self.weights, seconds=5.0).predictions) == 7
        assert len(predict(self.model(), self.space, self.theta, self.weights, seconds=0.0).predictions) == 2

    def test_predictions_that_fail_are_left_out(self):
        broken = self.model(lambda p: np.full(40, np.nan if p["a"] > 2.0 else p["a"]))
        found = predict(broken, self.space, self.theta, self.weights)
        assert 50 < len(found.predictions) < 150
        assert np.all(found.predictions <= 2.0)
        nowhere = self.model(lambda p: np.full(40, np.nan))
        assert predict(nowhere, self.space, self.theta, self.weights) is None
        assert predict(self.model(), self.space, self.theta[:0], self.weights[:0]) is None

    @pytest.mark.parametrize(
        ("n", "noise", "label"),
        [(1, 0.5, "residual / noise"), (40, None, "residual"), (3, 0.1, "residual / noise")],
    )
    def test_any_number_of_points_can_be_drawn(self, n, noise, label):
        found = predict(self.model(noise=noise, n=n), self.space, self.theta, self.weights)
        with own_style():
            figure = data_figure(found)
            assert overlaps(figure) == ([], [])
        assert figure.axes[1].get_ylabel() == label

    def test_residuals_are_those_of_the_points(self):
        found = predict(self.model(n=3), self.space, self.theta, self.weights, x=np.array([3.0, 1.0, 2.0]))
        (points,) = [line for line in data_figure(found).axes[1].lines if line.get_marker() == "."]
        expected = (found.observed[0] - np.median(found.predictions, axis=0)[0]) / found.noise[0]
        np.testing.assert_allclose(points.get_xydata(), np.column_stack([[3.0, 1.0, 2.0], expected]))

    def test_no_more_than_four_channels(self):
        model = UserModel(lambda p: np.full((6, 20), p["a"]), 0.5, np.full((6, 20), 2.0))
        assert len(data_figure(predict(model, self.space, self.theta, self.weights)).axes) == 8

    @pytest.mark.parametrize("x", [None, np.arange(3.0), ["a"] * 40, np.full(40, np.nan)])
    def test_independent_variable_is_only_taken_where_it_fits(self, x):
        assert abscissa(SimpleNamespace(x=x), self.model()) is None

    def test_independent_variable_is_the_likelihoods(self):
        x = np.linspace(0, 1, 40)
        assert np.array_equal(abscissa(SimpleNamespace(x=x), self.model()), x)
