"""The engine trained in rounds for one target: exact answers, missing points, its file."""

from __future__ import annotations

import numpy as np
import pytest
from engine_cases import QUICK, SMALL, an_engine, exact, line, own_level, targets, with_gaps
from scipy import stats
from sklearn.exceptions import NotFittedError

from nbi_sampler import NBI
from nbi_sampler.amortised.saving import load_estimator
from nbi_sampler.storage.archive import ArchiveError


@pytest.fixture(scope="module")
def sequential():
    """An engine trained in rounds for the first of the targets."""
    _, x, x_err = targets(1)
    return an_engine().fit(
        300, n_rounds=3, n_epochs=15, x_obs=x[0], x_err=x_err[0], training={"n_threads": 1}
    )


@pytest.mark.takes_seconds
def test_rounds_for_one_target(sequential):
    _, x, x_err = targets(1)
    (found,) = sequential.infer(x[0], n_samples=1000)
    mean, covariance, log_evidence = exact(x[0], x_err[0])
    assert abs(found.log_evidence - log_evidence) < 5.0 * found.log_evidence_err + 1e-6
    assert found.efficiency > 0.3
    rounds = sequential.sequential_
    assert {record.phase for record in rounds.records} >= {"prior", "rounds"}
    assert len(rounds.samples) == sum(each.n_draws for each in rounds.records if each.phase != "final")
    ess = 1.0 / np.sum(rounds.weights**2)
    deviation = (rounds.weights @ rounds.samples - mean) / np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(deviation, 0.0, atol=5.0 / np.sqrt(ess))
    assert sequential.predict(x[0], n_samples=10)[0].shape == (10, 2)
    for another in ((x[0] + 1.0, x_err[0]), (x[0], 2.0 * x_err[0]), (x[0], x_err[0], np.arange(10) < 5)):
        with pytest.raises(NotFittedError, match="n_rounds=1"):
            sequential.predict(*another)
    with pytest.raises(ValueError, match="x_obs: expected one"):
        an_engine().fit(300, n_rounds=2)
    with pytest.raises(ValueError, match="x_err: expected uncertainties or a log-likelihood"):
        an_engine().fit(300, n_rounds=2, x_obs=x[0])


@pytest.mark.takes_seconds
def test_the_paper_s_algorithm_for_one_target():
    _, x, x_err = targets(1)
    paper = an_engine().fit(300, 2, 15, x_obs=x[0], x_err=x_err[0], refine=False, training={"n_threads": 1})
    assert {record.phase for record in paper.sequential_.records[:2]} == {"prior", "rounds"}
    log_evidence = exact(x[0], x_err[0])[2]
    assert abs(paper.infer(x[0], n_samples=1000)[0].log_evidence - log_evidence) < 0.3


def test_rounds_come_back_from_their_file(sequential, tmp_path):
    path, (_, x, x_err) = tmp_path / "one.nbi", targets(1)
    sequential.save(path)
    again = NBI.load(path, simulator=line, noise=own_level, device="cpu")
    (before,), (after,) = sequential.infer(x[0], n_samples=300), again.infer(x[0], x_err[0], n_samples=300)
    np.testing.assert_array_equal(before.samples, after.samples)
    np.testing.assert_array_equal(before.log_weights, after.log_weights)
    for name in ("samples", "weights", "log_likelihood", "x_obs", "x_err"):
        np.testing.assert_array_equal(getattr(sequential.sequential_, name), getattr(again.sequential_, name))
    assert [each.as_dict() for each in again.sequential_.records] == [
        each.as_dict() for each in sequential.sequential_.records
    ]
    parameters = again.get_params()
    assert parameters["seed"] == 3 and parameters["featurizer"] == SMALL
    assert parameters["flow"] == sequential.get_params()["flow"]
    again.save(tmp_path / "twice.nbi")
    with pytest.raises(ArchiveError, match="holds rounds for one target"):
        load_estimator(path)
    with pytest.raises(NotFittedError):
        again.sample(x[0])
    with pytest.raises(NotFittedError):
        an_engine().save(tmp_path / "nothing.nbi")
    assert not (tmp_path / "nothing.nbi").exists()


@pytest.mark.takes_seconds
def test_rounds_leave_missing_points_out():
    _, x, x_err, mask = targets(1, with_gaps)
    engine = an_engine(with_gaps).fit(
        200, 2, 5, x_obs=x[0], x_err=x_err[0], mask=mask[0], training={"n_threads": 1}
    )
    (found,) = engine.infer(x[0], n_samples=1000)
    assert abs(found.log_evidence - exact(x[0], x_err[0], mask[0])[2]) < 5.0 * found.log_evidence_err + 1e-6


@pytest.mark.takes_seconds
def test_rounds_with_a_log_likelihood_of_the_user(tmp_path):
    _, x, x_err, mask = targets(1, with_gaps)

    def log_likelihood(simulations, y, observation):
        assert observation.mask.all() and simulations.shape == (len(y), mask.sum())
        return stats.norm(simulations, observation.x_err).logpdf(observation.x).sum(1)

    given = {"x_obs": np.where(mask, x, np.nan)[0], "x_err": x_err[0], "log_likelihood": log_likelihood}
    engine = an_engine(with_gaps, simulator=line).fit(200, 2, 5, **given, training={"n_threads": 1})
    (found,) = engine.infer(given["x_obs"], n_samples=1000)
    assert abs(found.log_evidence - exact(x[0], x_err[0], mask[0])[2]) < 5.0 * found.log_evidence_err + 1e-6
    engine.fit(200, n_epochs=1, training=QUICK).save(tmp_path / "both.nbi")
    again = NBI.load(tmp_path / "both.nbi", simulator=line, noise=with_gaps, device="cpu")
    assert again.sample(x[0], x_err[0], mask[0], n_samples=5).shape == (5, 2)
    with pytest.raises(ValueError, match=r"expected the function of the rounds, .*log_likelihood, got None"):
        again.infer(given["x_obs"])
    (same,) = again.infer(given["x_obs"], n_samples=1000, log_likelihood=log_likelihood)
    np.testing.assert_array_equal(same.log_weights, found.log_weights)
