"""Figures of a run can be read, whatever is in it."""

from __future__ import annotations

import itertools
import math
import re
from types import SimpleNamespace

import numpy as np
import pytest
from bilby.core.likelihood import GaussianLikelihood
from bilby.core.prior import PriorDict, Uniform
from matplotlib.figure import Figure
from plot_cases import made_view, overlaps, records

from nbi_sampler.forward import UserModel, forward_model_for
from nbi_sampler.priors.space import ParameterSpace
from nbi_sampler.reports.plots.data import data_figure
from nbi_sampler.reports.plots.modes import modes_of
from nbi_sampler.reports.plots.parameters import parameters_figure
from nbi_sampler.reports.plots.predictive import abscissa, axis_labels, predict
from nbi_sampler.reports.plots.run import figures_of, save_figures
from nbi_sampler.reports.plots.style import compact, own_style, plot_formats, with_errors
from nbi_sampler.reports.plots.symlog import show_differences


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


@pytest.mark.takes_seconds
@pytest.mark.parametrize("case", VIEWS)
def test_figures_can_be_read(case):
    for name, make in figures_of(made_view(**VIEWS[case])).items():
        with own_style():
            outside, pairs = overlaps(make())
        assert not outside, f"{name}: beyond the edge: {outside}"
        assert not pairs, f"{name}: on each other: {pairs}"


@pytest.mark.takes_seconds
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


def sine(x, a, f):
    return a * np.sin(f * x)


class TestCurvesBetweenTheData:
    x = np.array([3.0, 0.5, 1.0, 1.0, 9.0])
    priors = PriorDict({"a": Uniform(0, 5), "f": Uniform(0, 5)})
    theta = np.column_stack([np.linspace(1, 3, 50), np.full(50, 2.0)])
    weights = np.full(50, 1 / 50)

    def found(self, function=sine):
        likelihood = GaussianLikelihood(self.x, sine(self.x, 2.0, 2.0), function, sigma=0.1)
        forward = forward_model_for(likelihood)
        return predict(forward, ParameterSpace(self.priors), self.theta, self.weights, self.x)

    def test_are_those_of_the_draws_on_a_fine_grid_that_holds_the_data(self):
        found = self.found()
        x = found.curves.x
        assert len(x) > 400 and np.all(np.diff(x) > 0) and set(self.x) <= set(x)
        at_data = found.curves.predictions[:, np.searchsorted(x, self.x)]
        np.testing.assert_allclose(at_data, found.predictions[:, 0])
        amplitudes = found.curves.predictions / np.sin(2.0 * x)
        assert np.ptp(amplitudes, axis=1).max() < 1e-9

    def test_bands_are_as_wide_as_at_the_data_where_these_are(self):
        found = self.found()
        with own_style():
            figure = data_figure(found)
            assert overlaps(figure) == ([], [])
        outer = figure.axes[0].collections[0].get_paths()[0].vertices
        expected = np.quantile(found.replicated[:, 0, 0], [0.025, 0.975])
        at_three = outer[np.isclose(outer[:, 0], 3.0), 1]
        np.testing.assert_allclose([at_three.min(), at_three.max()], expected, atol=1e-9)

    @pytest.mark.parametrize(
        "function",
        [
            pytest.param(lambda x, a, f: sine(np.array([3.0, 0.5, 1.0, 1.0, 9.0]), a, f), id="x of its own"),
            pytest.param(lambda x, a, f: sine(x - len(x) + 5, a, f), id="looks at the number of data"),
            pytest.param(lambda x, a, f: np.broadcast_to(sine(x, a, f), (5,)), id="refuses another number"),
        ],
    )
    def test_a_function_that_cannot_be_asked_elsewhere_is_drawn_at_the_data(self, function):
        found = self.found(function)
        assert found.curves is None
        with own_style():
            assert data_figure(found).axes[0].get_xlim()[1] > 8.0

    def test_axes_are_called_as_the_likelihood_says(self):
        likelihood = GaussianLikelihood(self.x, self.x, lambda time, a: a * time, sigma=0.1)
        assert axis_labels(likelihood) == ("time", "data")
        likelihood.x_label, likelihood.y_label = "HJD (d)", "flux (mJy)"
        assert axis_labels(likelihood) == ("HJD (d)", "flux (mJy)")
        assert axis_labels(SimpleNamespace(func=None)) == ("x", "data")


class TestDifferences:
    @pytest.mark.parametrize(
        "low, high, width, ticks",
        [
            (-33_000.0, 0.3, 0.1, [-10_000.0, -100.0, -1.0, 0.0, 0.1]),
            (-0.5, 2e5, 1.0, [0.0, 10.0, 1_000.0, 100_000.0]),
            (0.0, 40.0, 0.02, [0.0, 0.01, 0.1, 1.0, 10.0]),
        ],
    )
    def test_ticks_are_zero_and_powers_of_ten_in_plain_numbers(self, low, high, width, ticks):
        axis = Figure().subplots()
        show_differences(axis, low, high, width)
        np.testing.assert_allclose(axis.get_yticks(), ticks)
        assert axis.get_ylim()[0] < low and high < axis.get_ylim()[1]
        shown = [label.get_text().replace("−", "-").replace(",", "") for label in axis.get_yticklabels()]
        np.testing.assert_allclose([float(text) for text in shown], ticks)

    def test_an_axis_without_anything_far_off_is_linear(self):
        axis = Figure().subplots()
        show_differences(axis, -0.02, 0.03, 0.01)
        assert axis.get_yscale() == "linear"
        assert axis.get_ylim()[0] < -0.02 and axis.get_ylim()[1] > 0.03


class TestModes:
    def weighted(self, rng, places, shares, width=0.1, n=4000):
        values = np.concatenate([rng.normal(place, width, n) for place in places])
        weights = np.repeat(np.asarray(shares) / n, n)
        return values, weights / weights.sum()

    @pytest.mark.parametrize(
        "places, shares", [((0.0,), (1.0,)), ((-1.4, 1.4), (0.3, 0.7)), ((0.0, 1.0, 50.0), (0.2, 0.5, 0.3))]
    )
    def test_are_found_with_their_shares(self, rng, places, shares):
        found = modes_of(*self.weighted(rng, places, shares))
        assert len(found) == len(places)
        for mode, place, share in zip(found, places, shares, strict=True):
            # Mode by a kernel of half of Silverman's width, on a grid of a thousandth of the range.
            assert mode.place == pytest.approx(place, abs=0.08 + 2e-3 * np.ptp(places))
            assert mode.share == pytest.approx(share, abs=0.02)

    @pytest.mark.parametrize("kind", ["uniform", "exponential", "normal"])
    def test_one_hump_is_one_mode(self, rng, kind):
        values = getattr(rng, kind)(size=3000)
        assert len(modes_of(values, np.full(3000, 1 / 3000))) == 1

    def test_one_value_is_one_mode_and_no_draw_none(self):
        assert modes_of(np.full(5, 3.0), np.full(5, 0.2)) == ((3.0, 1.0),)
        assert modes_of(np.zeros(0), np.zeros(0)) == ()


def test_a_posterior_of_two_modes_is_not_told_by_a_median_between_them(rng):
    view = made_view(n_dim=1, n_weights=8000, spread=0.0, units=("mag",))
    view.theta[:, 0] = rng.choice([-1.4, 1.4], 8000) + 0.05 * rng.normal(size=8000)
    with own_style():
        (axis,) = parameters_figure(view).axes
    title = axis.get_title("left")
    assert re.fullmatch(r"parameter_0\s+(= )?−1\.\d+ \(\d+ %\) or 1\.\d+ \(\d+ %\) mag", title)
    assert axis.get_yscale() == "linear" and axis.get_ylabel() == "parameter_0 [mag]"


def test_bars_beyond_a_linear_axis_end_in_an_arrowhead():
    view = made_view(n_dim=1, spread=0.0)
    with own_style():
        (axis,) = parameters_figure(view).axes
    low, high = axis.get_ylim()
    first = view.records[0].quantiles[0]
    assert first[0] < low and high < first[4]
    ends = {line.get_marker(): line.get_ydata()[0] for line in axis.lines if line.get_marker() in "v^"}
    assert ends == {"v": low, "^": high}


@pytest.mark.parametrize("wrong", ["jpeg", "png,gif", "", 5, [], ["png", 3]])
def test_a_format_that_is_not_known_is_refused(wrong):
    with pytest.raises(ValueError, match="plot_format: expected 'png', 'pdf', 'svg' or several of them"):
        plot_formats(wrong)


@pytest.mark.takes_seconds
def test_each_figure_is_written_in_each_format(tmp_path):
    written = save_figures(figures_of(made_view()), tmp_path, "label", formats=("png", "pdf"))
    names = {f"label_{name}.{ending}" for name in ("run", "parameters") for ending in ("png", "pdf")}
    assert {path.name for path in written} == names == {path.name for path in tmp_path.iterdir()}
    assert (tmp_path / "label_run.pdf").read_bytes().startswith(b"%PDF")
