"""Figures of a run: what they are made from, that they can be read, and that none of them costs a run."""

from __future__ import annotations

import io
import itertools
import json
import logging
import math
import sys
from dataclasses import replace
from types import SimpleNamespace

import bilby
import matplotlib
import numpy as np
import pytest
from bilby.core.prior import PriorDict, Uniform
from matplotlib.text import Text
from scipy import stats
from small_runs import run_nbi

from nbi_sampler.algorithm.records import QUANTILES, RoundRecord
from nbi_sampler.forward import UserModel
from nbi_sampler.plots import RunView, plot_run
from nbi_sampler.plots.data import data_figure
from nbi_sampler.plots.predictive import abscissa, predict
from nbi_sampler.plots.run import figures_of, save_figures
from nbi_sampler.plots.stretch import Stretch
from nbi_sampler.plots.style import compact, own_style, with_errors
from nbi_sampler.plots.view import parameter_labels
from nbi_sampler.plots.watching import RunPlots
from nbi_sampler.priors.space import ParameterSpace
from nbi_sampler.statistics.pareto import pareto_k

FIGURES = {"label_run.png", "label_parameters.png", "label_data.png"}
SIGMA = 0.2
SMALL = dict(n_effective=150, n_sims=200, training={"n_epochs": 4})
SMALLEST = dict(n_effective=20, n_sims=100, training={"n_epochs": 1}, max_likelihood_calls=400)


def line(x, slope, offset):
    return slope * x + offset


@pytest.fixture(scope="module")
def likelihood():
    x = np.linspace(0, 1, 30)
    noise = SIGMA * np.random.default_rng(3).normal(size=30)
    return bilby.core.likelihood.GaussianLikelihood(x, line(x, 1.0, 0.5) + noise, line, SIGMA)


@pytest.fixture(scope="module")
def priors():
    return {"slope": Uniform(-5, 5, latex_label="$s$"), "offset": Uniform(-5, 5)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("plotted")


@pytest.fixture(scope="module")
def result(likelihood, priors, folder):
    """A run that is plotted at its end, as a user asks for it."""
    return run_nbi(likelihood, priors, folder, plot=True, save=True, **SMALL)


@pytest.fixture(scope="module")
def view(result):
    return RunView.from_result(result)


def records(n, n_dim, **changes):
    """Records of a run that narrows from a prior of width 10 to a posterior of width 0.01."""
    rng = np.random.default_rng(n)
    phases = ("prior", "rounds", "refinement", "final")
    made = []
    for i in range(n):
        width = max(10.0 * math.exp(-i), 0.01)
        loss = 3.0 * np.exp(-np.arange(20) / 5) + 0.1 * rng.normal(size=20)
        made.append(
            RoundRecord(
                phase=phases[min(4 * i // n, 3)],
                n_draws=1000,
                n_calls=1000,
                n_nan=0,
                ess=1 + 900 * i / n,
                efficiency=0.9 * i / n,
                log_evidence=-12345.6 - 10.0 * width,
                log_evidence_err=0.01 + width / 10,
                exponent=min(1.0, (i + 1) / n),
                pooled=i == n - 1,
                training_loss=tuple(loss - 0.1) if i else (),
                validation_loss=tuple(loss) if i else (),
                quantiles=tuple(tuple(50.0 + width * stats.norm.ppf(QUANTILES)) for _ in range(n_dim)),
            )
        )
    return tuple(replace(each, **changes) for each in made)


def made_view(n=6, n_dim=2, n_weights=900, spread=0.3, **changes):
    """A view that no run has made."""
    rng = np.random.default_rng(n_dim)
    theta = 50.0 + 0.01 * rng.normal(size=(n_weights, n_dim))
    labels = tuple(f"parameter_{i}" for i in range(n_dim))
    fields = dict(label="label", labels=labels, records=records(n, n_dim), theta=theta, status="ok")
    return RunView(**fields | {"log_weights": spread * rng.normal(size=n_weights)} | changes)


class TestWhatARunLeaves:
    def test_plots_are_where_and_what_the_guide_says(self, result, folder):
        assert {path.name for path in folder.glob("*.png")} == FIGURES | {"label_corner.png"}

    def test_nothing_is_plotted_unasked(self, likelihood, priors, tmp_path):
        run_nbi(likelihood, priors, tmp_path, **SMALLEST)
        assert not list(tmp_path.glob("*.png"))

    def test_plots_are_refreshed_during_a_run_and_change_no_number(
        self, likelihood, priors, result, tmp_path, bilby_log
    ):
        keywords = dict(check_point_plot=True, check_point_delta_t=1e-3)
        again = run_nbi(likelihood, priors, tmp_path, **SMALL, **keywords)
        assert again.log_evidence == result.log_evidence
        assert {path.name for path in tmp_path.glob("*.png")} == FIGURES
        assert sum("plots are in" in record.getMessage() for record in bilby_log.records) >= 2

    def test_quantiles_of_batches_go_from_prior_to_posterior(self, view):
        first, last = view.records[0], view.records[-1]
        # Standard error of a quantile of a uniform distribution of width 10.
        for quantiles in first.quantiles:
            expected = -5.0 + 10.0 * np.array(QUANTILES)
            errors = 10.0 * np.sqrt(np.array(QUANTILES) * (1 - np.array(QUANTILES)) / first.n_draws)
            assert np.all(np.abs(quantiles - expected) < 4.5 * errors)
        for i, quantiles in enumerate(last.quantiles):
            low, middle, high = view.quantiles(i, (0.16, 0.5, 0.84))
            assert quantiles[2] == pytest.approx(middle, abs=0.5 * (high - low))
            assert quantiles[3] - quantiles[1] == pytest.approx(high - low, rel=0.5)

    def test_losses_of_every_fit_are_kept(self, view):
        fits = [record for record in view.records if record.phase in ("rounds", "refinement")]
        assert fits
        assert all(len(fit.training_loss) == len(fit.validation_loss) > 0 for fit in fits)


class TestView:
    @pytest.mark.parametrize("extension", ["json", "hdf5", "pkl"])
    def test_a_saved_result_gives_the_same_view(self, result, view, tmp_path, extension):
        result.save_to_file(outdir=str(tmp_path), extension=extension)
        (path,) = tmp_path.iterdir()
        found = RunView.from_result(bilby.read_in_result(str(path)))
        assert found.records == view.records
        assert (found.status, found.labels) == (view.status, view.labels)
        np.testing.assert_allclose(found.weights, view.weights, rtol=1e-12)
        np.testing.assert_allclose(found.theta, view.theta)

    def test_evidence_and_figures_are_those_of_the_result(self, result, view):
        own = result.meta_data["nbi"]
        assert view.evidence.log_evidence == pytest.approx(result.log_evidence, abs=1e-9)
        assert view.evidence.error == pytest.approx(result.log_evidence_err, rel=1e-6)
        assert view.ess == pytest.approx(own["ess"])
        assert view.k_hat == pytest.approx(own["k_hat"])

    def test_zero_weights_count_as_draws(self):
        view = made_view(n_weights=400, spread=0.0)
        assert view.n_draws == 1000
        assert view.evidence.error == pytest.approx(math.sqrt(600 / (1000 * 400)))
        view = made_view(n_weights=400)
        assert view.k_hat == pareto_k(np.append(view.log_weights, np.full(600, -np.inf)))
        assert view.k_hat != pareto_k(view.log_weights)

    def test_batches_of_the_result_are_the_best_one_where_none_is_pooled(self):
        view = made_view(records=records(5, 2, pooled=False))
        assert view.of_result == (view.records[4],)

    def test_result_of_another_sampler_is_refused(self, result):
        other = SimpleNamespace(meta_data={}, sampler="dynesty")
        with pytest.raises(ValueError, match=r"result: expected one of sampler 'nbi', got one of 'dynesty'"):
            plot_run(other)

    def test_quantiles_are_weighted(self):
        theta = np.arange(4.0)[:, None]
        view = made_view(n_dim=1, theta=theta, log_weights=np.log([0.1, 0.1, 0.1, 0.7]))
        assert list(view.quantiles(0, (0.15, 0.29, 0.5))) == [1.0, 2.0, 3.0]

    def test_records_survive_json(self):
        (record,) = records(1, 3)
        assert RoundRecord.from_dict(json.loads(json.dumps(record.as_dict()))) == record


@pytest.mark.parametrize(
    ("name", "latex", "label"),
    [
        ("mass_1", r"$m_1$", r"$m_1$"),
        ("a", r"$\nothing_like_it$", "a"),
        ("a_b", None, "a_b"),
        ("cost$", None, r"cost\$"),
        ("a_b", "a_b", "a_b"),
    ],
)
def test_labels_are_what_can_be_drawn(name, latex, label):
    assert parameter_labels([name], {name: Uniform(0, 1, latex_label=latex)}) == (label,)
    assert parameter_labels(["x"], None) == ("x",)


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
        stretch = Stretch.about(centre, width)
        low, high = centre - 1e4 * stretch.width, centre + 3e3 * stretch.width
        ticks = np.array(stretch.ticks(low, high))
        assert len(ticks) == 5
        assert np.all(np.diff(stretch.forward(ticks)) > 0.5 * np.diff(stretch.forward([low, high])) / 5)
        np.testing.assert_allclose(stretch.inverse(stretch.forward(ticks)), ticks, rtol=1e-9)


def overlaps(figure):
    """Texts of a figure that reach beyond its edges, and those that cover each other."""
    figure.savefig(io.BytesIO(), dpi=figure.dpi)
    unseen = {id(text) for axes in figure.axes for text in ticks_out_of_view(axes)}
    texts = [text for text in figure.findobj(Text) if text.get_visible() and id(text) not in unseen]
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts if text.get_text().strip()]
    edges = figure.bbox
    outside = [text for text, box in boxes if box.x0 < -1 or box.x1 > edges.x1 + 1 or box.y1 > edges.y1 + 1]
    pairs = []
    for (first, a), (second, b) in itertools.combinations(boxes, 2):
        width = min(a.x1, b.x1) - max(a.x0, b.x0)
        height = min(a.y1, b.y1) - max(a.y0, b.y0)
        if width > 1.0 and height > 1.0:
            pairs.append((first, second))
    return outside, pairs


def ticks_out_of_view(axes):
    """Labels that matplotlib keeps for ticks beyond the limits, and does not draw."""
    for axis in (axes.xaxis, axes.yaxis):
        low, high = sorted(axis.get_view_interval())
        for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
            if not low <= tick.get_loc() <= high:
                yield from (tick.label1, tick.label2)


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
        monkeypatch.setattr("nbi_sampler.plots.predictive.time.monotonic", lambda: float(next(clock)))
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


class TestNothingIsHarmed:
    def test_style_of_the_user_is_put_back_and_does_no_harm(self, tmp_path, monkeypatch):
        # Chosen now, because to look at all settings asks for it, and to choose one imports pyplot.
        matplotlib.get_backend()
        # As if pyplot could not be imported: figures must not need its global state.
        monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
        with matplotlib.rc_context({"text.usetex": True, "font.size": 40}):
            before = dict(matplotlib.rcParams)
            assert len(save_figures(figures_of(made_view()), tmp_path / "new", "label")) == 2
            assert dict(matplotlib.rcParams) == before

    def plots(self, folder, figures=figures_of, interval=100.0):
        return RunPlots(folder, lambda state: made_view(), figures, interval, logging.getLogger("plots"))

    def test_figures_that_fail_are_warnings_and_the_others_are_made(self, tmp_path, caplog):
        def broken():
            raise RuntimeError("no ink")

        def figures(view, seconds):
            return {"broken": broken, **figures_of(view)}

        self.plots(tmp_path, figures, -1.0).state_changed(SimpleNamespace(records=(1,)))
        (record,) = caplog.records
        assert record.getMessage() == "nbi: no plot 'broken' could be made: RuntimeError: no ink"
        assert len(list(tmp_path.iterdir())) == 2

    def test_a_run_that_cannot_be_seen_is_a_warning(self, tmp_path, caplog):
        self.plots(tmp_path).finish(SimpleNamespace(meta_data={}, sampler="nbi"))
        assert [record.levelname for record in caplog.records] == ["WARNING"]

    def test_a_model_that_fails_costs_the_figure_of_the_data_alone(
        self, likelihood, priors, tmp_path, monkeypatch
    ):
        def fails(*arguments, **keywords):
            raise ValueError("not now")

        monkeypatch.setattr("nbi_sampler.plots.run.predict", fails)
        found = run_nbi(likelihood, priors, tmp_path, check_point_plot=True, **SMALLEST)
        assert len(found.posterior)
        assert {path.name for path in tmp_path.glob("*.png")} == FIGURES - {"label_data.png"}

    def test_a_signal_is_not_taken_for_a_failure(self, tmp_path):
        def stopped(view, seconds):
            raise SystemExit(77)

        with pytest.raises(SystemExit):
            self.plots(tmp_path, stopped, -1.0).state_changed(SimpleNamespace(records=(1,)))

    def test_plots_come_at_the_interval_and_take_little_of_the_time(self, tmp_path, monkeypatch):
        now, made = [0.0], []
        monkeypatch.setattr("nbi_sampler.plots.watching.time.monotonic", lambda: now[0])

        def slow(view, seconds):
            now[0] += 10.0
            made.append(now[0])
            return {}

        plots = self.plots(tmp_path, slow)
        state, empty = SimpleNamespace(records=(1,)), SimpleNamespace(records=())
        for now[0] in (50.0, 99.0):
            plots.state_changed(state)
        now[0] = 100.0
        plots.state_changed(empty)
        assert not made
        plots.state_changed(state)
        # It took 10 s, so there is none for the next 500.
        now[0] = 600.0
        plots.state_changed(state)
        now[0] = 611.0
        plots.state_changed(state)
        assert made == [110.0, 621.0]

    def test_results_without_quantiles_are_plotted_as_far_as_they_go(self):
        assert set(figures_of(made_view(records=records(3, 2, quantiles=())))) == {"run"}
