"""The result that bilby is given: the exact answer, its columns, its meta data, its files."""

from __future__ import annotations

import itertools

import bilby
import matplotlib
import numpy as np
import pytest
import torch
from bilby.core.likelihood import GaussianLikelihood
from bilby.core.prior import PriorDict, Uniform
from bilby.core.result import ResultList
from sampler_cases import line, line_data

from nbi_sampler.priors.space import ParameterSpace
from nbi_sampler.reports.meta_data import describable, rounds_of
from nbi_sampler.reports.plots.view import RunView
from nbi_sampler.reports.result import log_prior_density


@pytest.fixture(scope="module")
def line_result(run):
    """One run on straight-line data, and the exact posterior of its likelihood with a flat prior."""
    x, y = line_data()
    likelihood = GaussianLikelihood(x, y, line, sigma=0.5)
    priors = PriorDict({"m": Uniform(-5, 5), "c": Uniform(-5, 5)})
    return run(likelihood, priors, n_effective=1500, n_sims=600)


def exact_line():
    x, y = line_data()
    design = np.stack([x, np.ones_like(x)], axis=1) / 0.5
    covariance = np.linalg.inv(design.T @ design)
    mean = covariance @ design.T @ (y / 0.5)
    residual = y / 0.5 - design @ mean
    log_peak = -0.5 * residual @ residual - 0.5 * len(y) * np.log(2 * np.pi * 0.25)
    return mean, covariance, log_peak + 0.5 * np.linalg.slogdet(2 * np.pi * covariance)[1] - 2 * np.log(10.0)


@pytest.mark.takes_seconds
def test_posterior_and_evidence_are_the_exact_ones(line_result):
    mean, covariance, log_evidence = exact_line()
    own = line_result.meta_data["nbi"]
    assert own["status"] == "ok"
    assert abs(line_result.log_evidence - log_evidence) < 4 * line_result.log_evidence_err
    weights = line_result.nested_samples["weights"].to_numpy()
    theta = line_result.nested_samples[["m", "c"]].to_numpy()
    error = np.sqrt(np.diag(covariance) / own["ess"])
    assert np.all(np.abs(weights @ theta - mean) < 4 * error)
    equal = line_result.posterior[["m", "c"]].to_numpy()
    assert np.all(np.abs(equal.mean(0) - mean) < 4 * np.sqrt(np.diag(covariance) / len(equal)))
    assert np.allclose(np.cov(equal.T), covariance, atol=6 * covariance.max() / np.sqrt(len(equal)))


def test_weighted_samples_have_the_columns_that_bilby_can_reweight(line_result):
    assert list(line_result.nested_samples) == ["m", "c", "log_likelihood", "log_prior", "weights"]
    assert line_result.nested_samples["weights"].sum() == pytest.approx(1.0, abs=1e-12)
    assert (line_result.nested_samples["weights"] > 0).all()


def test_the_posterior_has_a_row_for_every_effective_sample_with_its_own_likelihood(line_result):
    own = line_result.meta_data["nbi"]
    drawn = line_result.nested_samples.set_index(["m", "c"])["log_likelihood"]
    keys = list(map(tuple, line_result.samples))
    assert len(line_result.posterior) == len(keys) == int(own["ess"]) >= own["n_effective"]
    assert 0.5 * len(keys) < own["n_distinct"] == len(set(keys)) < len(keys)
    assert f"{len(keys):,} rows, {own['n_distinct']:,} of them distinct" in own["message"]
    assert np.array_equal(drawn.loc[keys], line_result.log_likelihood_evaluations)
    assert np.allclose(line_result.log_prior_evaluations, -2 * np.log(10.0))


FOUND = (
    *("predictive_p_value", "predictive_p_values", "residual_correlation", "predictive_check"),
    "at_prior_edge",
)


def test_meta_data_tell_what_the_run_was(line_result):
    own = line_result.meta_data["nbi"]
    wanted = "status message efficiency ess n_effective k_hat largest_weight_share n_calls n_nan rounds"
    others = {"n_distinct", "out_of_distribution", "plugins", "seed", "settings", "tier", "versions"}
    assert set(own) == {*wanted.split(), *others, *FOUND}
    assert own["ess"] >= own["n_effective"] == 1500
    assert own["n_calls"] == line_result.num_likelihood_evaluations
    assert own["n_calls"] == sum(record["n_calls"] for record in own["rounds"].values())
    assert own["seed"] == 1
    assert "Gaussian" in own["tier"]
    assert 0.5 < own["efficiency"] <= 1.0
    assert set(own["versions"]) == {"nbi_sampler", "torch", "bilby", "numpy"}
    assert set(line_result.meta_data["run_statistics"]) == {
        *("nlikelihood", "neffsamples", "sampling_time_s", "ncores"),
    }


def test_sampling_time_is_in_seconds_and_not_taken_for_days(line_result):
    assert 0.05 < line_result.sampling_time < 600


@pytest.mark.parametrize("order", list(itertools.permutations(["json", "hdf5", "pkl"])))
def test_result_survives_saving_and_reading_in_every_order(line_result, tmp_path, order):
    read = line_result
    for number, extension in enumerate(2 * order):
        read.save_to_file(outdir=str(tmp_path / str(number)), extension=extension)
        read = bilby.read_in_result(
            outdir=str(tmp_path / str(number)), label=line_result.label, extension=extension
        )
        assert read.log_evidence == line_result.log_evidence
        assert np.array_equal(read.posterior[["m", "c"]], line_result.posterior[["m", "c"]])
        assert np.array_equal(read.nested_samples["weights"], line_result.nested_samples["weights"])
        for name in ("nbi", "run_statistics"):
            np.testing.assert_equal(read.meta_data[name], line_result.meta_data[name])
        np.testing.assert_equal(read.sampler_kwargs, line_result.sampler_kwargs)
        assert rounds_of(read)[0]["phase"] == "prior"
    assert RunView.from_result(read).records == RunView.from_result(line_result).records


@pytest.mark.filterwarnings("ignore:Parameter attribute queried:FutureWarning")
def test_combined_and_reweighted_results_read_from_json_can_be_saved_as_hdf5(line_result, tmp_path):
    line_result.save_to_file(outdir=str(tmp_path), extension="json")
    read = [bilby.read_in_result(outdir=str(tmp_path), label=line_result.label) for _ in range(2)]
    x, y = line_data()
    other = GaussianLikelihood(x, y, line, sigma=0.6)
    bilby.core.utils.random.seed(1)
    reweighted = bilby.core.result.reweight(read[0], new_likelihood=other, use_nested_samples=True)
    for number, result in enumerate([ResultList(read).combine(), reweighted]):
        result.save_to_file(filename=f"{number}.hdf5", outdir=str(tmp_path))
        again = bilby.read_in_result(str(tmp_path / f"{number}.hdf5"))
        assert again.log_evidence == result.log_evidence
        np.testing.assert_equal(again.meta_data["nbi"], line_result.meta_data["nbi"])


@pytest.mark.takes_seconds
def test_keywords_that_are_objects_do_not_break_saving(run, line_problem, tmp_path):
    likelihood, priors = line_problem
    x, y = line_data()
    settings = dict(simulator=lambda p: line(x, p["m"], p["c"]), noise=np.full(40, 0.5), x_obs=y)
    result = run(likelihood, priors, save="json", outdir=str(tmp_path), **settings)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["label_result.json", "nbi_label"]
    assert result.sampler_kwargs["noise"] == "array of shape (40,)"
    assert "lambda" in result.sampler_kwargs["simulator"]
    assert "user's simulator" in result.meta_data["nbi"]["tier"]


def test_describable_keeps_what_is_plain_and_names_the_rest():
    assert describable({"a": [1, 2], "b": None, "c": "x"}) == {"a": [1, 2], "b": None, "c": "x"}
    assert describable(torch.nn.Identity()) == "torch.nn.modules.linear.Identity"
    assert describable([np.zeros(2)]) == "builtins.list"


def test_corner_plot(line_result, tmp_path):
    matplotlib.use("Agg")
    line_result.plot_corner(filename=str(tmp_path / "corner.png"))
    assert (tmp_path / "corner.png").stat().st_size > 0


@pytest.mark.takes_seconds
def test_conversion_function_result_class_and_injection_reach_bilby(run, line_problem):
    class OwnResult(bilby.core.result.Result):
        pass

    def convert(sample, likelihood=None, priors=None, npool=1):
        sample = sample.copy()
        sample["sum"] = sample["m"] + sample["c"]
        return sample

    injected = {"m": 1.5, "c": 0.3}
    result = run(
        *line_problem, conversion_function=convert, result_class=OwnResult, injection_parameters=injected
    )
    assert type(result) is OwnResult
    assert np.allclose(result.posterior["sum"], result.posterior["m"] + result.posterior["c"])
    assert result.injection_parameters["sum"] == pytest.approx(1.8)


def test_prior_density_goes_row_by_row_where_a_prior_takes_one_number():
    class Scalar(Uniform):
        def ln_prob(self, val):
            return -1.5 if float(val) < 10 else 0.0

    priors = PriorDict({"a": Scalar(0, 1), "b": Uniform(0, 1)})
    theta = np.random.default_rng(0).uniform(size=(20, 2))
    assert np.allclose(log_prior_density(theta, ParameterSpace(priors), priors), -1.5)
