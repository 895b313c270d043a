"""Runs that start from a trained model: at once where it serves, right where it is wrong, else refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import trained_lines as lines
from bilby.core.likelihood import Likelihood
from bilby.core.prior import PriorDict, Uniform
from small_runs import assert_agrees, run_nbi

from nbi_sampler import NBI
from nbi_sampler.algorithm import first_draws, pooling
from nbi_sampler.core.config import ModelStartConfig
from nbi_sampler.sampler import trained_model
from nbi_sampler.sampler.trained_model import digest_of
from nbi_sampler.storage.checkpoint import read_draws

# From which draws a run starts does not depend on how well its proposals fit.
pytestmark = pytest.mark.usefixtures("small_fits_of_a_module")


@pytest.fixture
def run(tmp_path):
    def run(likelihood, priors=None, **keywords):
        return run_nbi(likelihood, lines.priors() if priors is None else priors, tmp_path, **keywords)

    return run


def phases(result):
    return [record["phase"] for record in result.meta_data["nbi"]["rounds"].values()]


class Nameless(Likelihood):
    """The same likelihood as one that is not recognised."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def log_likelihood(self, parameters):
        return self.inner.log_likelihood(parameters)


def remembering(calls, stop_at=None):
    """A line that remembers where it was evaluated, and is stopped at one of its calls."""

    def line(x, m, c):
        if len(calls) == stop_at:
            raise KeyboardInterrupt
        # Not for columns: calls are to be counted one by one.
        calls.append((float(m), float(c)))
        return float(m) * x + float(c)

    return line


class TestAGoodModel:
    @pytest.mark.takes_seconds
    def test_makes_the_result_at_once(self, run):
        likelihood = lines.likelihood()
        result = run(likelihood, model=lines.model(), n_effective=1000)
        assert_agrees(result, lines.exact(likelihood))
        assert phases(result) == ["model", "final"]
        assert result.num_likelihood_evaluations < 3000
        own = result.meta_data["nbi"]["model"]
        assert 0.01 < own["p_value"] <= 1.0

    @pytest.mark.takes_seconds
    def test_gives_the_same_from_its_file(self, run, tmp_path):
        lines.model().save(tmp_path / "lines.nbi")
        kept = [run(lines.likelihood(), model=m) for m in (lines.model(), str(tmp_path / "lines.nbi"))]
        assert kept[0].log_evidence == kept[1].log_evidence
        assert kept[0].meta_data["nbi"]["model"] == kept[1].meta_data["nbi"]["model"]

    def test_is_refined_where_it_does_not_suffice_and_calls_are_dear(self, run, monkeypatch):
        monkeypatch.setattr(first_draws, "BATCHES", replace(first_draws.BATCHES, cheap=0.0))
        monkeypatch.setattr(pooling, "POOLING", replace(pooling.POOLING, warm=0.99))
        likelihood = lines.likelihood()
        result = run(likelihood, model=lines.model())
        assert phases(result)[:2] == ["model", "refinement"]
        assert_agrees(result, lines.exact(likelihood))

    def test_takes_data_that_the_likelihood_does_not_tell(self, run):
        likelihood = Nameless(lines.likelihood())
        sigma = np.full(len(lines.X), lines.SIGMA)
        result = run(likelihood, model=lines.model(), x_obs=lines.data(), x_err=sigma)
        assert_agrees(result, lines.exact(likelihood.inner))
        assert set(phases(result)) <= {"model", "final"}

    def test_is_read_with_the_priors_of_the_run_where_a_file_cannot_hold_them(self, run, tmp_path):
        class Own(Uniform):
            pass

        priors = PriorDict({"m": Own(-3, 3), "c": Uniform(-3, 3)})
        engine = NBI("maf", "mlp", lambda p: lines.line(lines.X, p["m"], p["c"]), lines.noise, priors, seed=1)
        engine.fit(n_sims=200, n_epochs=1).save(tmp_path / "own.nbi")
        result = run(lines.likelihood(), priors, model=tmp_path / "own.nbi", max_likelihood_calls=200)
        assert phases(result) == ["model"]


class TestAWrongModel:
    @pytest.mark.takes_seconds
    def test_of_shifted_data_does_not_change_the_answer(self, run):
        likelihood = lines.likelihood()
        result = run(likelihood, model=lines.model(shift=1.5))
        assert phases(result)[:3] == ["model", "prior", "rounds"]
        assert_agrees(result, lines.exact(likelihood))

    @pytest.mark.takes_seconds
    def test_does_not_change_it_where_nothing_can_be_simulated(self, run):
        likelihood = Nameless(lines.likelihood())
        given = {"x_obs": lines.data(), "x_err": np.full(len(lines.X), lines.SIGMA)}
        result = run(likelihood, model=lines.model(shift=1.5), n_sims="auto", **given)
        assert phases(result)[:3] == ["model", "prior", "refinement"]
        assert_agrees(result, lines.exact(likelihood.inner))

    @pytest.mark.takes_seconds
    def test_that_is_blind_to_a_mode_is_found_out_by_simulations(self, run, caplog):
        """The weights are flat on the known mode, so neither they nor the p-value reveal the other mode."""
        likelihood = lines.likelihood(function=lines.even)
        result = run(likelihood, model=lines.model())
        assert phases(result)[:2] == ["model", "prior"]
        assert "often exclude the true values" in caplog.text
        assert_agrees(result, lines.exact(likelihood))

    def test_would_lose_that_mode_without_these_and_a_share_of_the_prior(self, run, monkeypatch):
        """Negative control of the previous test: half the evidence, and a healthy status."""
        blind = ModelStartConfig(prior_share=1e-9, most_surprises=1.0)
        monkeypatch.setattr(trained_model, "MODEL_START", blind)
        likelihood = lines.likelihood(function=lines.even)
        result = run(likelihood, model=lines.model())
        assert result.meta_data["nbi"]["status"] == "ok"
        lost = lines.exact(likelihood).log_evidence - result.log_evidence
        assert lost == pytest.approx(np.log(2), abs=0.1)

    @pytest.mark.takes_seconds
    def test_is_not_believed_at_data_unlike_all_that_it_has_seen(self, run):
        likelihood = lines.likelihood()
        likelihood.y = likelihood.y + 4.0 * np.cos(40.0 * lines.X)
        result = run(likelihood, model=lines.model())
        assert result.meta_data["nbi"]["model"]["p_value"] < 0.01
        assert phases(result)[:2] == ["model", "prior"]
        # Nor do they look like anything that a line makes; evidence and posterior of the line are right.
        assert_agrees(result, lines.exact(likelihood), status="poor fit")


class TestAnUnusableModel:
    @pytest.mark.parametrize(
        ("change", "named"),
        [
            ({"m": Uniform(-3, 4)}, r"prior of m \(its central 90 % are -2.7 to 2.7, now -2.65 to 3.65\)"),
            ({"d": Uniform(0, 1)}, r"parameters \(m, c, now m, c, d\)"),
            ({"m": 0.5}, r"parameters \(m, c, now c\)"),
            ({"b": 2.0}, r"fixed value of b \(None, now 2.0\)"),
        ],
    )
    def test_of_other_priors_is_refused_by_name(self, run, change, named):
        with pytest.raises(ValueError, match=f"model: expected .* with other {named}"):
            run(lines.likelihood(), PriorDict(lines.PRIORS | change), model=lines.model())

    def test_of_another_order_is_refused(self, run):
        with pytest.raises(ValueError, match=r"order of parameters \(m, c, now c, m\)"):
            run(
                lines.likelihood(), PriorDict({"c": Uniform(-3, 3), "m": Uniform(-3, 3)}), model=lines.model()
            )

    def test_of_other_data_is_refused(self, run):
        likelihood = lines.likelihood()
        likelihood.x, likelihood.y = likelihood.x[:20], likelihood.y[:20]
        with pytest.raises(ValueError, match=r"data of shape \(25,\) from the likelihood, .* \(1, 20\)"):
            run(likelihood, model=lines.model())

    def test_needs_data(self, run):
        with pytest.raises(ValueError, match="not recognised; pass them as x_obs="):
            run(Nameless(lines.likelihood()), model=lines.model())

    def test_needs_uncertainties_if_it_was_trained_with_them(self, run):
        with pytest.raises(ValueError, match="x_err: expected the uncertainties"):
            run(Nameless(lines.likelihood()), model=lines.model(), x_obs=lines.data())

    def test_must_be_trained_and_exist(self, run, tmp_path):
        untrained = NBI(priors=lines.priors(), seed=1)
        with pytest.raises(TypeError, match="NBI without an estimator; fit it"):
            run(lines.likelihood(), model=untrained)
        with pytest.raises(ValueError, match=r"no file 'nowhere\.nbi'"):
            run(lines.likelihood(), model="nowhere.nbi")
        (tmp_path / "other").write_text("something else")
        with pytest.raises(ValueError, match=r"model: expected a file of NBI\.save"):
            run(lines.likelihood(), model=tmp_path / "other")

    @pytest.mark.parametrize("name", ["x_err", "x_mask", "x_obs"])
    def test_its_data_mean_nothing_without_it(self, run, name):
        with pytest.raises(ValueError, match=f"{name}: expected None without .*model="):
            run(lines.likelihood(), **{name: lines.data()})


class TestResume:
    def interrupted(self, run, tmp_path, **keywords):
        """A run that stops within its first batch, and where it was evaluated."""
        calls = []
        function = remembering(calls, stop_at=250)
        settings = dict(label="x", vectorized=False, resume=True, n_effective=300, n_sims=250) | keywords
        with pytest.raises(KeyboardInterrupt):
            run(lines.likelihood(function=function), **settings)
        assert len(read_draws(tmp_path / "nbi_x" / "checkpoint.npz")["theta"]) > 100
        return calls, settings

    def test_within_the_first_batch_pays_no_call_twice(self, run, tmp_path):
        settings = dict(model=lines.model(), vectorized=False, n_effective=300, n_sims=250)
        calls = []
        unbroken = run(lines.likelihood(function=remembering(calls)), label="y", **settings)
        first, settings = self.interrupted(run, tmp_path, model=lines.model())
        second = []
        result = run(lines.likelihood(function=remembering(second)), **settings)
        assert result.log_evidence == unbroken.log_evidence
        np.testing.assert_array_equal(result.samples, unbroken.samples)
        # The probes are made by both processes, and the most likely draw of the first is looked at again.
        n_probes = len(calls) - unbroken.num_likelihood_evaluations
        assert len(first) + len(second) <= len(calls) + n_probes + 2

    @pytest.mark.takes_seconds
    def test_of_another_model_restarts(self, run, tmp_path, bilby_log):
        _, settings = self.interrupted(run, tmp_path, model=lines.model())
        result = run(lines.likelihood(), **{**settings, "model": lines.model(shift=1.5)})
        assert "is not used: it was written for something else: model" in bilby_log.text
        assert phases(result)[:2] == ["model", "prior"]


@pytest.mark.takes_seconds
def test_a_model_is_told_by_what_it_learnt():
    """Networks see scaled data, so two models may have equal networks although their data differ."""
    assert len({digest_of(lines.model(shift).estimator_) for shift in (0.0, 1.5)}) == 2
