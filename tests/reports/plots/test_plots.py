"""A run leaves figures, and none of them costs a run."""

from __future__ import annotations

import logging
import sys
from types import SimpleNamespace

import matplotlib
import numpy as np
import pytest
from plot_cases import FIGURES, SMALL, SMALLEST, made_view, records
from small_runs import run_nbi

from nbi_sampler.algorithm.records import QUANTILES
from nbi_sampler.reports.plots.live import LivePlots
from nbi_sampler.reports.plots.run import figures_of, save_figures

pytestmark = pytest.mark.usefixtures("small_fits_of_a_module", "quick_pictures")


class TestWhatARunLeaves:
    @pytest.mark.takes_seconds
    def test_plots_are_where_and_what_the_guide_says(self, result, folder):
        assert {path.name for path in folder.glob("*.png")} == FIGURES | {"label_corner.png"}

    def test_nothing_is_plotted_unasked(self, likelihood, priors, tmp_path):
        run_nbi(likelihood, priors, tmp_path, **SMALLEST)
        assert not list(tmp_path.glob("*.png"))

    @pytest.mark.takes_seconds
    def test_plots_are_refreshed_during_a_run_and_change_no_number(
        self, likelihood, priors, result, tmp_path, bilby_log
    ):
        keywords = dict(check_point_plot=True, check_point_delta_t=1e-3)
        again = run_nbi(likelihood, priors, tmp_path, **SMALL, **keywords)
        assert again.log_evidence == result.log_evidence
        assert {path.name for path in tmp_path.glob("*.png")} == FIGURES
        assert sum("plots are in" in record.getMessage() for record in bilby_log.records) >= 2

    @pytest.mark.takes_seconds
    def test_plots_come_in_the_formats_that_are_asked_for(self, likelihood, priors, tmp_path):
        run_nbi(likelihood, priors, tmp_path, check_point_plot=True, plot_format="png,pdf", **SMALLEST)
        plots = {path.name for path in tmp_path.iterdir() if path.suffix in (".png", ".pdf")}
        assert plots == FIGURES | {name.replace(".png", ".pdf") for name in FIGURES}

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


class TestNothingIsHarmed:
    @pytest.mark.takes_seconds
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
        return LivePlots(folder, lambda state: made_view(), figures, interval, logging.getLogger("plots"))

    @pytest.mark.takes_seconds
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

    @pytest.mark.takes_seconds
    def test_a_model_that_fails_costs_the_figure_of_the_data_alone(
        self, likelihood, priors, tmp_path, monkeypatch
    ):
        def fails(*arguments, **keywords):
            raise ValueError("not now")

        monkeypatch.setattr("nbi_sampler.reports.plots.run.predict", fails)
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
        monkeypatch.setattr("nbi_sampler.reports.plots.live.time.monotonic", lambda: now[0])

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
