"""The posterior that scripts read: what it shares with the weighted draws, and what bilby does with it."""

from __future__ import annotations

import numpy as np
import pytest
from bilby.core.likelihood import GaussianLikelihood
from bilby.core.prior import PriorDict, Uniform
from bilby.core.result import ResultList, reweight
from sampler_cases import line, line_data


@pytest.mark.slow
@pytest.mark.parametrize("name", ["linear", "sine", "rosenbrock"])
def test_means_and_deviations_are_those_of_the_weighted_draws(run, name):
    problem = pytest.importorskip("nbi_sampler_benchmark").get_problem(name)
    result = run(problem.likelihood, problem.priors, n_effective=400, n_sims=800)
    own, rows = result.meta_data["nbi"], len(result.posterior)
    assert own["status"] == "ok" and rows == int(own["ess"]) >= 400
    weights = result.nested_samples["weights"].to_numpy()
    for parameter in result.search_parameter_keys:
        x, equal = result.nested_samples[parameter].to_numpy(), result.posterior[parameter].to_numpy()
        mean = weights @ x
        variance, fourth = weights @ (x - mean) ** 2, weights @ (x - mean) ** 4
        # Systematic resampling errs by less than independent rows would.
        assert abs(equal.mean() - mean) < 3 * np.sqrt(variance / rows)
        assert abs(equal.var() - variance) < 4 * np.sqrt((fourth - variance**2) / rows)


@pytest.fixture(scope="module")
def two_results(run):
    x, y = line_data()
    priors = PriorDict({"m": Uniform(-5, 5), "c": Uniform(-5, 5)})
    likelihood = GaussianLikelihood(x, y, line, sigma=0.5)
    return likelihood, [run(likelihood, PriorDict(priors), seed=seed, label=f"seed{seed}") for seed in (1, 2)]


@pytest.mark.takes_seconds
def test_one_seed_gives_the_same_rows(run, two_results):
    likelihood, (first, second) = two_results
    again = run(likelihood, PriorDict(first.priors), seed=1)
    assert again.posterior[["m", "c"]].equals(first.posterior[["m", "c"]])
    assert not second.posterior["m"].equals(first.posterior["m"])


@pytest.mark.parametrize("of_weighted_draws", [False, True])
def test_bilby_reweights_to_another_likelihood(two_results, of_weighted_draws):
    likelihood, (result, _) = two_results
    x, y = line_data()
    other = GaussianLikelihood(x, y + 0.02, line, sigma=0.5)
    moved = reweight(
        result, new_likelihood=other, old_likelihood=likelihood, use_nested_samples=of_weighted_draws
    )
    design = np.stack([x, np.ones_like(x)], axis=1)
    shift = np.linalg.lstsq(design, np.full_like(y, 0.02), rcond=None)[0]
    error = result.posterior[["m", "c"]].std() / np.sqrt(len(moved.posterior))
    difference = moved.posterior[["m", "c"]].mean() - result.posterior[["m", "c"]].mean() - shift
    assert (difference.abs() < 4 * np.sqrt(2) * error).all()


def test_bilby_combines_runs_of_two_seeds(two_results):
    _, results = two_results
    combined = ResultList(results).combine()
    assert abs(combined.log_evidence - results[0].log_evidence) < 4 * results[0].log_evidence_err
    assert len(combined.posterior) > 300
    error = combined.posterior["m"].std() / np.sqrt(300)
    assert abs(combined.posterior["m"].mean() - results[0].posterior["m"].mean()) < 4 * error
