"""Input that cannot work gives one clear error before it costs a call."""

from __future__ import annotations

import numpy as np
import pytest
from bad_input_cases import Counted, raise_error
from bilby.core.likelihood import GaussianLikelihood
from bilby.core.prior import DeltaFunction, Prior, PriorDict, Uniform

from nbi_sampler.evaluation.batch import LikelihoodError
from nbi_sampler.evaluation.evaluator import Evaluator
from nbi_sampler.priors.space import ParameterSpace
from nbi_sampler.sampler.nbi import Nbi


@pytest.mark.parametrize(
    ("keywords", "kind", "message"),
    [
        ({"n_efective": 5}, TypeError, r"'n_efective': did you mean 'n_effective'\?"),
        ({"flows": "maf"}, TypeError, r"'flows': did you mean 'flow'\?"),
        ({"max_calls": 5}, TypeError, r"'max_calls': did you mean 'max_likelihood_calls'\?"),
        ({"sampling_sed": 5}, TypeError, r"'sampling_sed': did you mean 'sampling_seed'\?"),
        ({"n_effective": -5}, ValueError, "n_effective: expected a positive number, got -5"),
        ({"n_effective": "many"}, ValueError, "n_effective: expected a positive number, got 'many'"),
        ({"n_rounds": 2.5}, ValueError, "n_rounds: expected an integer of at least 1, got 2.5"),
        ({"n_sims": "some"}, ValueError, "n_sims: expected an integer of at least 100"),
        ({"loss": "mse"}, ValueError, "loss: unknown name 'mse'; valid: apt, nll"),
        ({"refine": "yes"}, ValueError, "refine: expected True or False, got 'yes'"),
        (
            {"max_likelihood_calls": 5},
            ValueError,
            "max_likelihood_calls: expected an integer of at least 100",
        ),
        ({"seed": "dice"}, ValueError, "seed: expected an integer"),
        ({"flow": "mafia"}, ValueError, "flow: unknown name 'mafia'; did you mean 'maf'"),
        ({"flow": {"type": "maf", "hiden": 3}}, ValueError, "flow: unknown setting 'hiden'"),
        ({"flow": 3}, TypeError, "flow: expected a name, a dictionary or an nn.Module, got int"),
        ({"featurizer": "pcaa"}, ValueError, "featurizer: unknown name 'pcaa'; did you mean 'pca'"),
        ({"training": {"epochs": 5}}, ValueError, "training: unknown setting 'epochs'; .*n_epochs"),
        ({"training": "long"}, ValueError, "training: expected a dictionary"),
        ({"vectorized": "no"}, ValueError, "vectorized: expected 'auto', True or False, got 'no'"),
        ({"device": "gpu"}, ValueError, "device: expected 'auto', 'cpu', 'cuda'"),
        ({"npool": 1.5}, ValueError, "npool: expected an integer of at least 1"),
        ({"resume": "maybe"}, ValueError, "resume: expected True or False, got 'maybe'"),
        ({"check_point_delta_t": -1}, ValueError, "check_point_delta_t: expected a number of seconds"),
        ({"print_method": "interval-often"}, ValueError, "print_method: expected 'tqdm'"),
        ({"model": "trained.pt"}, ValueError, "model: expected a trained NBI or the path of a saved one"),
        ({"simulator": "no.such.module"}, ValueError, "simulator: expected 'package.module.attribute'"),
        ({"simulator": 3, "x_obs": [1.0]}, TypeError, "simulator: expected a function"),
        ({"simulator": len}, ValueError, "x_obs: expected observed data .* got None"),
        ({"noise": 0.1}, ValueError, "noise: expected None without simulator="),
    ],
)
def test_wrong_keyword_is_one_error_before_any_call(run, keywords, kind, message):
    likelihood = Counted()
    with pytest.raises(kind, match=message):
        run(likelihood, **keywords)
    assert likelihood.n_calls == 0


def test_text_of_a_configuration_file_is_understood(priors):
    text = {"n_sims": "1e3", "refine": "False", "max_likelihood_calls": "None", "training": "{'n_epochs': 7}"}
    text |= {"simulator": "numpy.linalg.norm", "x_obs": ["[1", "2]"], "noise": "0.5", "n_effective": "250.5"}
    sampler = Nbi(Counted(), priors, soft_init=True, **text)
    assert sampler.kwargs["n_sims"] == 1000
    assert sampler.kwargs["refine"] is False
    assert sampler.kwargs["max_likelihood_calls"] is None
    assert sampler.kwargs["training"] == {"n_epochs": 7}
    assert sampler.kwargs["simulator"] is np.linalg.norm
    assert sampler.kwargs["x_obs"] == [1, 2]
    assert sampler.kwargs["noise"] == 0.5
    assert sampler.kwargs["n_effective"] == 250.5


def test_a_pool_that_is_none_is_refused(run):
    with pytest.raises(TypeError, match=r"pool: expected a concurrent\.futures\.Executor or .* got str"):
        run(Counted(), pool="four")


@pytest.mark.parametrize("fixed", [{}, {"a": DeltaFunction(1.0), "b": 2.0}])
def test_nothing_to_sample_is_an_error_that_says_so(run, fixed):
    likelihood = Counted()
    with pytest.raises(ValueError, match="priors"):
        run(likelihood, PriorDict(fixed))
    assert likelihood.n_calls == 0


def test_prior_without_a_density_is_an_error_that_names_it(run):
    likelihood = Counted()
    with pytest.raises(ValueError, match="'b'"):
        run(likelihood, PriorDict({"a": Uniform(0, 1), "b": Prior(name="b", minimum=0, maximum=1)}))
    assert likelihood.n_calls == 0


def test_data_with_nan_are_one_error(run):
    x = np.linspace(0, 1, 10)
    y = np.where(x > 0.8, np.nan, x)
    likelihood = GaussianLikelihood(x, y, lambda x, a, b: a + b * x, sigma=0.1)
    with pytest.raises(ValueError, match=r"(?i)finite.*\bgot 2") as caught:
        run(likelihood)
    assert caught.value.__cause__ is None


def test_a_likelihood_that_always_raises_names_the_parameters(run):
    with pytest.raises(LikelihoodError, match=r"raised ZeroDivisionError: no such model; at a=.*, b="):
        run(Counted(at=1, then=raise_error))


@pytest.mark.parametrize("value", [None, "high", [1.0, 2.0]])
def test_bilbys_checks_of_a_likelihood_that_returns_no_number_end_with_the_reason(run, value):
    expected = r"raised TypeError: expected a number to be returned, got [^;]+; at a=.*, b="
    with pytest.raises(LikelihoodError, match=expected):
        run(Counted(at=1, then=lambda: value))


@pytest.mark.parametrize("value", [None, "high", [1.0, 2.0]])
def test_a_likelihood_that_returns_no_number_is_an_error_that_says_so(priors, value):
    space = ParameterSpace(priors)
    with pytest.raises(LikelihoodError, match="expected a number"):
        Evaluator(space, lambda parameters: value, None, np.random.default_rng(0))


@pytest.mark.parametrize("value", [np.float32(-1.5), np.array([-1.5]), np.array(-1.5), -2])
def test_a_likelihood_may_return_any_kind_of_number(priors, value, rng):
    evaluator = Evaluator(ParameterSpace(priors), lambda parameters: value, None, rng)
    assert np.all(evaluator(rng.normal(size=(3, 2))).log_likelihood == float(np.squeeze(value)))
