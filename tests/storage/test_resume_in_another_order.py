"""The priors come in another order: the run goes on with all its draws, and gives the same numbers."""

from __future__ import annotations

import bilby
import numpy as np
import pytest
from bilby.core.prior import ConditionalPriorDict, ConditionalUniform, PriorDict, Uniform
from resume_cases import QUICK, Bowl, Stopping, assert_no_call_paid_twice, line_likelihood, terminate


def uniform_priors():
    return {"m": Uniform(-3, 3), "c": Uniform(-2, 4)}


def below(reference, m):
    return {"minimum": reference["minimum"], "maximum": m + 4}


def conditional_priors():
    return {"m": Uniform(-3, 3), "c": ConditionalUniform(below, minimum=-2, maximum=4)}


def run(outdir, likelihood, priors, **keywords):
    return bilby.run_sampler(
        likelihood, priors, sampler="nbi", label="x", outdir=str(outdir), **QUICK | keywords
    )


def assert_same(result, expected, names):
    assert result.log_evidence == expected.log_evidence
    assert result.num_likelihood_evaluations == expected.num_likelihood_evaluations
    assert (
        result.search_parameter_keys == names == list(result.posterior)[:2] == list(result.nested_samples)[:2]
    )
    for name in ("m", "c", "log_likelihood", "log_prior", "weights"):
        np.testing.assert_array_equal(result.nested_samples[name], expected.nested_samples[name])
    for name in ("m", "c", "log_likelihood"):
        np.testing.assert_array_equal(result.posterior[name], expected.posterior[name])


KINDS = {
    "rounds": (line_likelihood, uniform_priors, PriorDict),
    "conditional": (Bowl, conditional_priors, ConditionalPriorDict),
}


@pytest.mark.takes_seconds
@pytest.mark.parametrize(("make", "entries", "kind"), KINDS.values(), ids=KINDS)
@pytest.mark.posix
def test_every_draw_is_used_again_and_the_columns_are_those_of_now(tmp_path, bilby_log, make, entries, kind):
    expected = run(tmp_path / "unbroken", make(Stopping()), kind(entries()))
    at = 100 + 6 + expected.num_likelihood_evaluations - 60
    stopped, resumed = Stopping(at, terminate), Stopping()
    with pytest.raises(SystemExit):
        run(tmp_path, make(stopped), kind(entries()))
    result = run(tmp_path, make(resumed), kind(dict(reversed(entries().items()))))
    assert_same(result, expected, ["c", "m"])
    assert_no_call_paid_twice(stopped, resumed, result)
    assert "continues from" in bilby_log.text and "is not used" not in bilby_log.text
    # And back again, with more draws: a run may change its mind as often as it likes.
    more = run(tmp_path, make(third := Stopping()), kind(entries()), n_effective=700)
    assert list(more.posterior)[:2] == ["m", "c"]
    new = more.num_likelihood_evaluations - result.num_likelihood_evaluations
    assert 0 < new <= len(third.calls) <= new + 130
    error = 4.5 * np.hypot(more.log_evidence_err, expected.log_evidence_err)
    assert abs(more.log_evidence - expected.log_evidence) < error


@pytest.mark.takes_seconds
def test_a_new_run_does_not_depend_on_the_order_of_what_it_found(tmp_path):
    """Other data, and another order: only values of the likelihood show that the file is of another run."""
    priors = uniform_priors()
    swapped = PriorDict(dict(reversed(priors.items())))
    run(tmp_path, Bowl(Stopping(), 0.7), PriorDict(priors), max_likelihood_calls=300)
    result = run(tmp_path, Bowl(Stopping()), swapped, npool=2)
    assert_same(result, run(tmp_path / "fresh", Bowl(Stopping()), swapped), ["c", "m"])


@pytest.mark.parametrize("change", [{"d": Uniform(0, 1)}, {"c": 1.0}])
def test_other_parameters_are_another_run(tmp_path, bilby_log, change):
    run(tmp_path, Bowl(Stopping()), PriorDict(uniform_priors()), max_likelihood_calls=300)
    run(tmp_path, Bowl(Stopping()), PriorDict(uniform_priors() | change), max_likelihood_calls=300)
    assert "it was written for something else: prior of" in bilby_log.text
    assert (tmp_path / "nbi_x" / "checkpoint.old-1.npz").exists()
