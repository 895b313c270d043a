"""The sampler through bilby: the answer, the result, files, seeds, and what bilby asks of a sampler."""

from __future__ import annotations

import copy
import signal
import threading

import bilby
import matplotlib
import numpy as np
import pytest
import torch
from bilby.core.likelihood import GaussianLikelihood, Likelihood
from bilby.core.prior import Constraint, DeltaFunction, PriorDict, Uniform

from nbi_sampler.priors.space import ParameterSpace
from nbi_sampler.reporting.result import describable, log_prior_density
from nbi_sampler.sampler import Nbi

SIGMA = 0.1
BOX = 10.0


def line(x, m, c):
    return m * x + c


def line_data():
    x = np.linspace(0, 1, 40)
    return x, line(x, 1.5, 0.3) + 0.5 * np.random.default_rng(4).normal(size=40)


class Bowl(Likelihood):
    """A Gaussian of width SIGMA in two parameters, known evidence in a wide box, and a noise evidence."""

    def log_likelihood(self, parameters):
        residual = np.array([parameters["a"] - 1.0, parameters["b"] + 0.5]) / SIGMA
        return float(-0.5 * residual @ residual)

    def noise_log_likelihood(self):
        return -7.0

    def log_likelihood_ratio(self, parameters):
        return self.log_likelihood(parameters) + 7.0


class Lowered(Bowl):
    """The same, lower by 2."""

    def log_likelihood(self, parameters):
        return super().log_likelihood(parameters) - 2.0


BOWL_EVIDENCE = np.log(2 * np.pi * SIGMA**2) - 2 * np.log(BOX)


@pytest.fixture
def bowl_priors():
    return PriorDict({"a": Uniform(-BOX / 2, BOX / 2), "b": Uniform(-BOX / 2, BOX / 2)})


@pytest.fixture
def line_problem():
    x, y = line_data()
    return GaussianLikelihood(x, y, line, sigma=0.5), PriorDict({"m": Uniform(-5, 5), "c": Uniform(-5, 5)})


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Run the sampler through bilby, quickly, and leave bilby's own switches as they were."""

    def run(likelihood, priors, **kwargs):
        settings = dict(n_effective=300, n_sims=250, seed=1, print_method="none", resume=False, save=False)
        settings |= {"outdir": str(tmp_path_factory.mktemp("run")), "training": {"n_epochs": 10}} | kwargs
        return bilby.run_sampler(likelihood, priors, sampler="nbi", **settings)

    return run


@pytest.fixture(scope="module")
def line_result(run):
    """One run on straight-line data, and the exact posterior of its likelihood with a flat prior."""
    x, y = line_data()
    likelihood = GaussianLikelihood(x, y, line, sigma=0.5)
    priors = PriorDict({"m": Uniform(-5, 5), "c": Uniform(-5, 5)})
    return run(likelihood, priors, n_effective=1500, n_sims=600)


@pytest.fixture(scope="module")
def bowl_result(run):
    """One run on the bowl."""
    return run(Bowl(), PriorDict({"a": Uniform(-5, 5), "b": Uniform(-5, 5)}), use_ratio=False, seed=5)


def exact_line():
    x, y = line_data()
    design = np.stack([x, np.ones_like(x)], axis=1) / 0.5
    covariance = np.linalg.inv(design.T @ design)
    mean = covariance @ design.T @ (y / 0.5)
    residual = y / 0.5 - design @ mean
    log_peak = -0.5 * residual @ residual - 0.5 * len(y) * np.log(2 * np.pi * 0.25)
    return mean, covariance, log_peak + 0.5 * np.linalg.slogdet(2 * np.pi * covariance)[1] - 2 * np.log(10.0)


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


def test_equal_weight_samples_are_distinct_draws_with_their_own_likelihoods(line_result):
    drawn = line_result.nested_samples.set_index(["m", "c"])["log_likelihood"]
    keys = list(map(tuple, line_result.samples))
    assert len(set(keys)) == len(keys) > 0.3 * line_result.meta_data["nbi"]["ess"]
    assert np.array_equal(drawn.loc[keys], line_result.log_likelihood_evaluations)
    assert np.allclose(line_result.log_prior_evaluations, -2 * np.log(10.0))


def test_meta_data_tell_what_the_run_was(line_result):
    own = line_result.meta_data["nbi"]
    wanted = "status message efficiency ess n_effective k_hat largest_weight_share n_calls n_nan rounds"
    assert set(own) == {*wanted.split(), "out_of_distribution", "plugins", "seed", "tier", "versions"}
    assert own["ess"] >= own["n_effective"] == 1500
    assert own["n_calls"] == line_result.num_likelihood_evaluations
    assert own["n_calls"] == sum(record["n_calls"] for record in own["rounds"])
    assert own["seed"] == 1
    assert "Gaussian" in own["tier"]
    assert 0.5 < own["efficiency"] <= 1.0
    assert set(own["versions"]) == {"nbi_sampler", "torch", "bilby", "numpy"}
    assert set(line_result.meta_data["run_statistics"]) == {
        *("nlikelihood", "neffsamples", "sampling_time_s", "ncores"),
    }


def test_sampling_time_is_in_seconds_and_not_taken_for_days(line_result):
    assert 0.05 < line_result.sampling_time < 600


@pytest.mark.parametrize("extension", ["json", "hdf5", "pkl"])
def test_result_survives_saving_and_reading(line_result, tmp_path, extension):
    line_result.save_to_file(outdir=str(tmp_path), extension=extension)
    read = bilby.read_in_result(outdir=str(tmp_path), label=line_result.label, extension=extension)
    assert read.log_evidence == line_result.log_evidence
    assert np.array_equal(read.posterior[["m", "c"]], line_result.posterior[["m", "c"]])
    assert np.array_equal(read.nested_samples["weights"], line_result.nested_samples["weights"])
    assert read.meta_data["nbi"]["status"] == "ok"
    rounds = read.meta_data["nbi"]["rounds"]
    assert len(rounds) == len(line_result.meta_data["nbi"]["rounds"])
    first = rounds["0"] if isinstance(rounds, dict) else rounds[0]
    assert first["phase"] == "prior"
    assert read.sampler_kwargs["flow"] == "maf"


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


# bilby forks to call the new likelihood, of which Python 3.12 warns.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_reweighting_the_nested_samples_gives_the_new_evidence(bowl_result):
    before, n_samples = bowl_result.log_evidence, len(bowl_result.nested_samples)
    bilby.core.utils.random.seed(3)
    result = copy.deepcopy(bowl_result)
    again = bilby.core.result.reweight(result, new_likelihood=Lowered(), use_nested_samples=True)
    assert again.log_evidence == pytest.approx(before - 2.0, abs=1e-9)
    assert 0 < len(again.posterior) < n_samples


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


@pytest.mark.parametrize("use_ratio", [None, True, False])
def test_evidence_is_of_the_likelihood_whatever_the_ratio(run, bowl_priors, use_ratio):
    result = run(Bowl(), bowl_priors, use_ratio=use_ratio)
    error = 4 * result.log_evidence_err
    assert result.log_evidence == pytest.approx(BOWL_EVIDENCE, abs=error)
    assert result.log_bayes_factor == pytest.approx(BOWL_EVIDENCE + 7.0, abs=error)
    peak = 7.0 if use_ratio in (None, True) else 0.0
    assert peak - 1.0 < result.log_likelihood_evaluations.max() <= peak


def test_ratio_serves_a_recognised_likelihood_from_its_predictions(run):
    x, y = line_data()
    likelihood = bilby.core.likelihood.ExponentialLikelihood(x, np.abs(y), lambda x, m: m + 0 * x)
    likelihood.noise_log_likelihood = lambda: -30.0
    priors = PriorDict({"m": Uniform(0.1, 5)})
    plain = run(likelihood, priors, use_ratio=False)
    ratio = run(likelihood, priors, use_ratio=True)
    assert "separately" not in ratio.meta_data["nbi"]["tier"]
    assert ratio.log_evidence == pytest.approx(plain.log_evidence, abs=1e-6)


def test_same_seed_same_result_and_another_seed_another(run, bowl_priors, bowl_result):
    again, other = (run(Bowl(), bowl_priors, use_ratio=False, seed=seed) for seed in (5, 6))
    assert np.array_equal(bowl_result.samples, again.samples)
    assert not np.array_equal(bowl_result.samples, other.samples)


@pytest.mark.parametrize("name", ["sampling_seed", "random_seed"])
def test_bilbys_names_for_the_seed_are_ours_and_seed_nothing_global(bowl_priors, name):
    before = bilby.core.utils.random.rng.bit_generator.state
    keywords = Nbi.default_kwargs | {name: "12"}
    keywords.pop("seed")
    sampler = Nbi(Bowl(), bowl_priors, soft_init=True, **keywords)
    assert sampler.kwargs["seed"] == 12
    assert sampler.result.sampler_kwargs["seed"] == 12
    assert bilby.core.utils.random.rng.bit_generator.state == before


def test_a_fresh_seed_is_recorded_and_gives_the_run_again(run, bowl_priors):
    first = run(Bowl(), bowl_priors, seed=None, max_likelihood_calls=300)
    again = run(Bowl(), bowl_priors, seed=first.meta_data["nbi"]["seed"], max_likelihood_calls=300)
    other = run(Bowl(), bowl_priors, seed=None, max_likelihood_calls=300)
    assert np.array_equal(first.samples, again.samples)
    assert other.meta_data["nbi"]["seed"] != first.meta_data["nbi"]["seed"]


def test_each_draw_costs_one_call(run, bowl_priors):
    class Counted(Bowl):
        n_calls = 0

        def log_likelihood(self, parameters):
            type(self).n_calls += 1
            return super().log_likelihood(parameters)

    result = run(Counted(), bowl_priors, use_ratio=False)
    # bilby calls the likelihood some 100 times before the run, and the evaluator's probe a few times.
    assert 0 <= Counted.n_calls - result.num_likelihood_evaluations < 120


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_a_likelihood_that_reads_its_state_is_given_it(run, bowl_priors):
    class OldStyle(Likelihood):
        def __init__(self):
            super().__init__(parameters={"a": 0.0, "b": 0.0})

        def log_likelihood(self):
            return Bowl().log_likelihood(self.parameters)

        def noise_log_likelihood(self):
            return -7.0

    for use_ratio in (False, True):
        result = run(OldStyle(), bowl_priors.copy(), use_ratio=use_ratio)
        assert result.log_evidence == pytest.approx(BOWL_EVIDENCE, abs=4 * result.log_evidence_err)


def test_constraints_enter_the_evidence_and_fixed_parameters_the_posterior(run):
    def convert(parameters):
        return {**parameters, "difference": parameters["a"] - 1.0}

    priors = PriorDict(
        {
            "a": Uniform(-BOX / 2, BOX / 2),
            "b": Uniform(-BOX / 2, BOX / 2),
            "difference": Constraint(0, 100),
            "fixed": DeltaFunction(4.0),
        },
        conversion_function=convert,
    )
    result = run(Bowl(), priors, use_ratio=False)
    assert result.log_evidence == pytest.approx(BOWL_EVIDENCE - np.log(2), abs=4 * result.log_evidence_err)
    assert (result.posterior["a"] >= 1.0).all()
    assert (result.posterior["fixed"] == 4.0).all()
    assert np.allclose(result.posterior["log_prior"], -2 * np.log(BOX))


def test_prior_density_goes_row_by_row_where_a_prior_takes_one_number():
    class Scalar(Uniform):
        def ln_prob(self, val):
            return -1.5 if float(val) < 10 else 0.0

    priors = PriorDict({"a": Scalar(0, 1), "b": Uniform(0, 1)})
    theta = np.random.default_rng(0).uniform(size=(20, 2))
    assert np.allclose(log_prior_density(theta, ParameterSpace(priors), priors), -1.5)


def test_zero_likelihood_mode_gives_back_the_prior(run, line_problem, monkeypatch):
    monkeypatch.setattr(bilby.core.utils.command_line_args, "bilby_zero_likelihood_mode", True)
    result = run(*line_problem)
    own = result.meta_data["nbi"]
    assert own["status"] == "ok"
    assert own["efficiency"] == pytest.approx(1.0, abs=0.4)
    assert result.log_evidence == pytest.approx(0.0, abs=4 * result.log_evidence_err)


def test_bilbys_test_mode_is_quick(run, line_problem, monkeypatch):
    monkeypatch.setattr(bilby.core.utils.command_line_args, "bilby_test_mode", True)
    result = run(*line_problem, n_effective=1e6, n_sims=50_000)
    assert result.num_likelihood_evaluations <= 2000
    assert len(result.posterior) > 10


def test_expected_outputs_are_one_directory_for_the_scheduler_to_bring_back():
    assert Nbi.get_expected_outputs(outdir="out", label="fit") == ([], ["out/nbi_fit/"])


def test_what_bilby_pipe_hands_to_every_sampler_is_taken(run, line_problem, bilby_log):
    pipe = dict(nlive=1000, naccept=60, sample="acceptance-walk", check_point_plot=True, npool=1)
    pipe |= dict(check_point_delta_t=1800, print_method="interval-60", sampling_seed=7, seed="None")
    result = run(*line_problem, **pipe)
    assert [r.getMessage() for r in bilby_log.records if "ignored" in r.getMessage()] == [
        "Sampler nbi has no use for naccept, nlive, sample: ignored"
    ]
    assert result.sampler_kwargs["check_point_delta_t"] == 1800


def test_log_says_once_how_the_likelihood_is_called(run, line_problem, bilby_log):
    run(*line_problem)
    (note,) = [r.getMessage() for r in bilby_log.records if r.getMessage().startswith("nbi: forward model")]
    assert "Gaussian, known sigma" in note
    assert "device cpu, seed 1, 250 simulations a round" in note


def test_signal_handlers_are_given_back_even_when_the_run_raises(run, bowl_priors, monkeypatch):
    handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM)]

    def fail(*args):
        assert signal.getsignal(signal.SIGTERM) != handlers[0]
        raise RuntimeError("stop here")

    monkeypatch.setattr("nbi_sampler.sampler.run", fail)
    with pytest.raises(RuntimeError, match="stop here"):
        run(Bowl(), bowl_priors)
    assert [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM)] == handlers


def test_runs_outside_the_main_thread(run, bowl_priors):
    results = []
    thread = threading.Thread(target=lambda: results.append(run(Bowl(), bowl_priors)))
    thread.start()
    thread.join()
    assert results[0].meta_data["nbi"]["status"] == "ok"
