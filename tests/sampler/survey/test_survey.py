"""Surveys: one row a target whatever happens, the same for any pool, and no target inferred twice."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import trained_lines as lines
from bilby.core.likelihood import GaussianLikelihood, Likelihood
from bilby.core.prior import PriorDict, Uniform

from nbi_sampler import Survey, infer_many
from nbi_sampler.evaluation.batch import WorkerError
from nbi_sampler.reports.progress import SurveyProgress
from nbi_sampler.storage.appendable_table import AppendableTable

QUICK = dict(n_effective=300, n_sims=300, n_samples=100, seed=3, print_method="none")


def targets(n=4):
    slopes = np.linspace(-2, 2, n)
    return [lines.likelihood(seed=i, m=slope) for i, slope in enumerate(slopes)]


@pytest.fixture
def survey(tmp_path):
    def survey(likelihoods, name="survey.h5", **keywords):
        return infer_many(lines.model(), likelihoods, lines.priors(), tmp_path / name, **(QUICK | keywords))

    return survey


def broken(then, y=None):
    """A likelihood that does something when it is evaluated."""
    data = lines.data(seed=99) if y is None else y
    return GaussianLikelihood(lines.X, data, lambda x, m, c: then(), sigma=lines.SIGMA)


class Mapper:
    """A pool of which only `map` is known."""

    size = 2

    def map(self, function, items):
        return [function(item) for item in items]


def fail():
    raise RuntimeError("no such star")


def assert_same(first, second):
    """Compare two surveys bit for bit, but for the times."""
    left, right = (each.table.drop(columns="seconds") for each in (first, second))
    assert left.equals(right)
    for name in ("mean", "standard_deviation", "quantiles", "samples", "log_likelihood"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


class TestTheTable:
    @pytest.mark.takes_seconds
    def test_agrees_with_the_exact_answers(self, survey):
        likelihoods = targets()
        found = survey(likelihoods, n_samples=200)
        assert (found.table.status == "ok").all()
        assert found.samples.shape == (4, 200, 2) and found.quantiles.shape == (4, 2, 5)
        for i, likelihood in enumerate(likelihoods):
            exact, row = lines.exact(likelihood), found.table.iloc[i]
            assert abs(row.log_evidence - exact.log_evidence) < 4.5 * row.log_evidence_err
            for j, name in enumerate(found.parameters):
                sigma = exact.sigmas[name]
                assert abs(found.mean[i, j] - exact.means[name]) < 4.5 * sigma / np.sqrt(row.ess)
                assert found.standard_deviation[i, j] == pytest.approx(sigma, rel=0.25)
                # Of the samples' own scatter about the mean of all draws, systematic sampling leaves little.
                assert abs(found.samples[i, :, j].mean() - found.mean[i, j]) < 4.5 * sigma / np.sqrt(200)
                assert found.quantiles[i, j, 2] == pytest.approx(exact.means[name], abs=0.5 * sigma)

    def test_is_read_by_name(self, survey, tmp_path):
        survey(zip(["first", "second"], targets(2), strict=True))
        found = Survey.read(tmp_path / "survey.h5")
        assert list(found.table.index) == ["first", "second"]
        posterior = found.posterior("second")
        np.testing.assert_array_equal(posterior[["m", "c"]], found.samples[1])
        row = posterior.iloc[0]
        expected = targets(2)[1].log_likelihood({"m": row.m, "c": row.c})
        assert row.log_likelihood == pytest.approx(expected)

    def test_has_what_was_asked_for_in_its_order(self, survey):
        by_name = dict(zip("abc", targets(3), strict=True))
        everything = survey(by_name)
        some = survey({name: by_name[name] for name in "ca"})
        assert list(some.table.index) == ["c", "a"]
        np.testing.assert_array_equal(some.samples, everything.samples[[2, 0]])


@pytest.mark.takes_seconds
class TestTheSameResult:
    def test_for_any_pool(self, survey):
        expected = survey(targets(), "alone.h5")
        assert_same(survey(targets(), "own.h5", npool=2), expected)
        assert_same(survey(targets(), "mapper.h5", pool=Mapper()), expected)
        with ThreadPoolExecutor(2) as threads:
            assert_same(survey(targets(), "threads.h5", pool=threads), expected)
            assert threads.submit(abs, -1).result() == 1, "closed"

    def test_in_any_order_and_another_for_another_seed(self, survey):
        names, likelihoods = list("abc"), targets(3)
        forward = survey(list(zip(names, likelihoods, strict=True)), "forward.h5")
        backward = survey(list(zip(names, likelihoods, strict=True))[::-1], "backward.h5")
        assert_same(backward.of(names), forward)
        other = survey(list(zip(names, likelihoods, strict=True)), "other.h5", seed=4)
        assert not np.array_equal(other.samples, forward.samples)


class TestResume:
    def test_after_a_kill_runs_what_is_missing(self, survey):
        unbroken = survey(targets(), "unbroken.h5")
        killed = targets()

        def interrupt():
            raise KeyboardInterrupt

        killed[2] = broken(interrupt)
        with pytest.raises(KeyboardInterrupt):
            survey(killed)
        # Known by their data; a call of one that is done would fail.
        again = [broken(fail, each.y) for each in targets()[:2]] + targets()[2:]
        assert_same(survey(again), unbroken)

    def test_tries_again_what_failed(self, survey):
        likelihoods = targets(2)
        first = survey([likelihoods[0], broken(fail)])
        assert list(first.table.status) == ["ok", "failed"]
        assert_same(survey(likelihoods), survey(likelihoods, "whole.h5"))

    def test_keeps_the_seed_of_the_table(self, survey):
        first = survey(targets(1), seed=None)
        longer = survey([*targets(1), lines.likelihood(seed=8)], seed=None)
        assert longer.table.seed.iloc[0] == first.table.seed.iloc[0]

    @pytest.mark.parametrize(
        ("change", "named"),
        [
            ({"n_effective": 200}, r"n_effective \(300, now 200\)"),
            ({"n_samples": 50}, r"n_samples \(100, now 50\)"),
            ({"seed": 4}, "seed: expected that of the table"),
        ],
    )
    def test_refuses_the_table_of_another_survey(self, survey, change, named):
        survey(targets(1))
        with pytest.raises(ValueError, match=named):
            survey(targets(1), **change)
        assert len(survey(targets(1), resume=False, **change).table) == 1

    def test_refuses_other_data_of_the_same_target(self, survey):
        survey(targets(1))
        with pytest.raises(ValueError, match="expected the same data of target '0' as in the table"):
            survey([lines.likelihood(seed=17)])


class TestFailures:
    @pytest.mark.parametrize("npool", [1, 2])
    def test_are_a_status_and_leave_the_others_alone(self, survey, npool):
        unpicklable = lines.likelihood(seed=5)
        unpicklable.lock = threading.Lock()
        outside = Likelihood()
        likelihoods = {
            "good": lines.likelihood(),
            "raises": broken(fail),
            "impossible": broken(lambda: np.nan),
            "unknown": outside,
            "locked": unpicklable,
            "also good": lines.likelihood(seed=7),
        }
        table = survey(likelihoods, npool=npool, max_likelihood_calls=1000).table
        assert (table.status[["good", "also good"]] == "ok").all()
        assert table.status["raises"] == "failed" and "no such star" in table.message["raises"]
        assert table.status["impossible"] == "no finite likelihood"
        assert table.log_evidence["impossible"] == -np.inf
        assert table.status["unknown"] == "failed" and "pass them as x_obs=" in table.message["unknown"]
        assert table.status["locked"] == ("ok" if npool == 1 else "failed")
        assert np.isnan(table.log_evidence["raises"])

    def test_a_target_that_kills_its_process_fails_alone(self, survey):
        likelihoods = targets(4)
        likelihoods[1] = broken(lambda: os._exit(1))
        table = survey(likelihoods, npool=2).table
        assert list(table.status) == ["ok", "failed", "ok", "ok"]
        assert "a worker died with this target alone" in table.message.iloc[1]

    def test_a_pool_that_is_lost_ends_the_survey(self, survey, tmp_path):
        with ThreadPoolExecutor(1) as threads:
            pass
        with pytest.raises(WorkerError, match="take no work"):
            survey(targets(1), pool=threads)


class TestArguments:
    def test_targets_are_made_as_they_are_needed(self, survey, tmp_path):
        n_rows = []

        def made_late():
            for likelihood in targets(3):
                with AppendableTable.open(tmp_path / "survey.h5") as table:
                    n_rows.append(len(table))
                yield likelihood

        assert len(survey(made_late()).table) == 3
        assert n_rows == [0, 1, 2]

    @pytest.mark.takes_seconds
    def test_data_as_the_model_takes_them_can_be_given(self, survey):
        kept = np.arange(len(targets(1)[0].x)) % 4 > 0
        most = [
            GaussianLikelihood(each.x[kept], each.y[kept], lines.line, sigma=lines.SIGMA)
            for each in targets(2)
        ]
        for each, whole in zip(most, targets(2), strict=True):
            each.whole = whole.y

        def observed(likelihood):
            return likelihood.whole, lines.SIGMA

        found = survey(most, observed=observed)
        assert (found.table.status == "ok").all()
        # Of three quarters of the data: wider than what the model says of the whole, by 15 %.
        assert (found.standard_deviation > 1.08 * survey(targets(2), "whole.h5").standard_deviation).all()

    def test_mistakes_are_refused_before_the_first_target(self, survey):
        with pytest.raises(TypeError, match="unknown keyword 'n_efective'; did you mean 'n_effective'"):
            survey(targets(1), n_efective=3)
        with pytest.raises(ValueError, match="n_samples: expected an integer of at least 1"):
            survey(targets(1), n_samples=0)
        with pytest.raises(ValueError, match="expected a unique name for every target, got 'a' twice"):
            survey([("a", each) for each in targets(2)])

    def test_a_model_of_other_priors_is_refused(self, tmp_path):
        with pytest.raises(ValueError, match="with other prior of m"):
            infer_many(
                lines.model(),
                targets(1),
                PriorDict({"m": Uniform(0, 1), "c": Uniform(-3, 3)}),
                tmp_path / "x",
            )
        assert not (tmp_path / "x").exists()


def test_progress_counts_by_status(monkeypatch):
    said = []
    monkeypatch.setattr("nbi_sampler.reports.progress.SECONDS_BETWEEN_LINES", 0.0)
    progress = SurveyProgress("tqdm", 1000, 2, said.append)
    for status in ("ok", "failed", "ok"):
        progress.done(status)
    assert said[-1].startswith("nbi survey: 5 of 1,000 targets | 2 ok, 1 failed |")
