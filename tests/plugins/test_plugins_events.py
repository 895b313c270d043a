"""Plugins are told about a run, which changes nothing in it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from plugin_cases import MINE, QUICK, OwnGaussian, Watching, X, fit, gaussian, line, namespace
from scipy import stats

from nbi_sampler import NBI
from nbi_sampler.evaluation.batch import LikelihoodError
from nbi_sampler.plugins.manager import Plugin, installed


@pytest.fixture
def watching(plugins):
    watcher = Watching()
    plugins.register(watcher, Plugin("watching"))
    return watcher


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Events and result of one run."""
    installed.cache_clear()
    watcher = Watching()
    installed().register(watcher, Plugin("watching"))
    result = fit(tmp_path_factory.mktemp("events"), label="told")
    installed.cache_clear()
    return watcher, result


class TestEvents:
    def test_run_started(self, run):
        watcher, result = run
        (event, told) = watcher.told[0]
        assert event == "run_started"
        assert (told.label, told.names, told.seed, told.records) == ("told", ("m",), 1, ())
        assert told.settings["n_sims"] == 300 and told.note == result.meta_data["nbi"]["tier"]
        with pytest.raises(TypeError):
            told.settings["n_sims"] = 5
        with pytest.raises(dataclasses.FrozenInstanceError):
            told.seed = 5

    def test_all_events_are_of_one_run(self, run):
        watcher, _ = run
        assert len({event[1] for event in watcher.told}) == 1

    def test_simulations_drawn(self, run):
        watcher, result = run
        batches = [simulations for (simulations,) in watcher.of("simulations_drawn")]
        rounds = list(result.meta_data["nbi"]["rounds"].values())
        assert [(each.phase, each.number) for each in batches] == [
            (record["phase"], number) for number, record in enumerate(rounds)
        ]
        first = batches[0]
        assert first.theta.shape == (600, 1) and first.predictions.shape == (600, len(X))
        # The first batch is from the prior, so its weights are the likelihoods.
        assert np.array_equal(first.log_weights, first.log_likelihood)
        assert np.allclose(first.predictions, line(X, first.theta))
        for name in ("theta", "log_likelihood", "log_weights", "predictions"):
            with pytest.raises(ValueError, match="read-only"):
                getattr(first, name)[0] = 0.0

    def test_epoch_finished(self, run):
        watcher, result = run
        epochs = [epoch for (epoch,) in watcher.of("epoch_finished")]
        record = result.meta_data["nbi"]["rounds"]["1"]
        assert [(each.phase, each.number, each.epoch) for each in epochs] == [
            ("rounds", 1, i) for i in range(3)
        ]
        assert [each.training_loss for each in epochs] == record["training_loss"]
        assert [each.validation_loss for each in epochs] == record["validation_loss"]

    def test_round_finished(self, run):
        watcher, result = run
        told = watcher.of("round_finished")
        assert [record.as_dict() for _, record, _ in told] == list(result.meta_data["nbi"]["rounds"].values())
        assert [number for number, _, _ in told] == list(range(len(told)))
        assert told[-1][2] == result.meta_data["nbi"]["ess"]

    def test_run_finished(self, run):
        watcher, result = run
        assert watcher.told[-1][0] == "run_finished"
        ((outcome,),) = watcher.of("run_finished")
        own = result.meta_data["nbi"]
        assert (outcome.status, outcome.message, outcome.n_calls) == (
            own["status"],
            own["message"],
            own["n_calls"],
        )
        assert (outcome.ess, outcome.efficiency, outcome.k_hat) == (
            own["ess"],
            own["efficiency"],
            own["k_hat"],
        )
        # Of no class of its own, which HDF5 and YAML would refuse.
        assert type(outcome.status) is type(own["status"]) is str
        assert outcome.log_evidence == result.log_evidence
        assert outcome.log_evidence_err == result.log_evidence_err

    def test_events_come_in_order(self, run):
        watcher, _ = run
        order = [event[0] for event in watcher.told]
        step = ["simulations_drawn", "round_finished"]
        fitted = ["epoch_finished"] * 3
        n_final = (len(order) - 2 - 2 * len(step) - len(fitted)) // len(step)
        assert order == ["run_started", *step, *fitted, *step, *(step * n_final), "run_finished"]

    def test_an_interrupted_run_is_finished_and_goes_on(self, watching, tmp_path, monkeypatch):
        likelihood = gaussian(OwnGaussian)
        keywords = dict(resume=True, n_rounds=1, refine=True, n_effective=100)
        monkeypatch.setattr(OwnGaussian, "n_calls", 0)
        monkeypatch.setattr(OwnGaussian, "failing_from", 1500)
        with pytest.raises(LikelihoodError):
            fit(tmp_path, likelihood, n_sims=600, **keywords)
        ((outcome,),) = watching.of("run_finished")
        assert outcome.status == "interrupted" and "the disk is full" in outcome.message
        assert type(outcome.status) is str
        assert np.isnan(outcome.log_evidence) and outcome.n_calls == 0
        n_rounds = len(watching.of("round_finished"))
        assert n_rounds == 1
        watching.told.clear()
        monkeypatch.setattr(OwnGaussian, "failing_from", np.inf)
        result = fit(tmp_path, likelihood, n_sims=600, **keywords)
        (run,) = watching.told[0][1:]
        assert len(run.records) == n_rounds
        told = watching.of("round_finished")
        assert [number for number, _, _ in told] == list(
            range(n_rounds, len(result.meta_data["nbi"]["rounds"]))
        )
        assert watching.of("run_finished")[0][0].status == "ok"

    def test_a_run_without_a_result_is_finished_too(self, watching, tmp_path, monkeypatch):
        def fail(*_, **__):
            raise MemoryError("no room for equal weights")

        monkeypatch.setattr("nbi_sampler.sampler.nbi.finished_run", fail)
        with pytest.raises(MemoryError):
            fit(tmp_path, gaussian(OwnGaussian), n_sims=400, n_rounds=1, n_effective=50)
        ((outcome,),) = watching.of("run_finished")
        assert outcome.status == "interrupted" and "no room" in outcome.message

    def test_a_training_of_the_engine_is_a_run_too(self, watching):
        engine = NBI("maf", "mlp", lambda theta: theta[0] * X, 0.1, [stats.uniform(0, 1)], seed=1)
        engine.fit(n_sims=200, n_epochs=2)
        (run,) = watching.told[0][1:]
        assert run.outdir == "" and run.seed == 1 and run.settings["featurizer"] == "mlp"
        losses = [epoch.training_loss for (epoch,) in watching.of("epoch_finished")]
        assert losses == list(engine.training_info_.training)
        assert watching.of("run_finished")[0][0].message == "trained"
        watching.told.clear()
        told = []
        engine.fit(
            n_sims=200,
            n_rounds=2,
            n_epochs=2,
            x_obs=0.5 * X,
            refine=False,
            on_epoch=lambda *epoch: told.append(epoch),
        )
        phases = [simulations.phase for (simulations,) in watching.of("simulations_drawn")]
        assert phases == ["prior", "rounds", "rounds"]
        epochs = [epoch for (epoch,) in watching.of("epoch_finished")]
        assert [(each.epoch, each.training_loss, each.validation_loss) for each in epochs] == told

    def test_an_event_hook_that_raises_is_told_no_more_and_changes_nothing(
        self, plugins, watching, run, tmp_path, caplog
    ):
        n_told = []

        def full(epoch):
            n_told.append(epoch)
            raise OSError("disk full")

        plugins.register(namespace(epoch_finished=full), MINE)
        result = fit(tmp_path)
        assert len(n_told) == 1
        assert len(watching.of("epoch_finished")) == QUICK["training"]["n_epochs"]
        assert [
            record
            for record in caplog.records
            if "epoch_finished raised OSError: disk full" in record.message
        ]
        assert result.log_evidence == run[1].log_evidence
        fit(tmp_path)
        assert len(n_told) == 2, "a new run should try again"
