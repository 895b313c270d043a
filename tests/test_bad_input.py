"""What cannot work: one clear error before it costs a call, or a status with a remedy; no draw is lost."""

from __future__ import annotations

import os
import signal

import bilby
import numpy as np
import pytest
from bilby.core.likelihood import GaussianLikelihood, Likelihood
from bilby.core.prior import DeltaFunction, Prior, PriorDict, Uniform

from nbi_sampler.evaluation.batch import LikelihoodError
from nbi_sampler.evaluation.evaluator import Evaluator
from nbi_sampler.persistence.draws_file import read_draws
from nbi_sampler.priors.space import ParameterSpace
from nbi_sampler.reporting.status import judge, summarise
from nbi_sampler.sampler import Nbi


class Counted(Likelihood):
    """A Gaussian in two parameters that counts its calls, and may do something at one of them."""

    def __init__(self, at=None, then=None):
        super().__init__()
        self.n_calls, self._at, self._then = 0, at, then

    def log_likelihood(self, parameters):
        self.n_calls += 1
        if self.n_calls == self._at:
            return self._then()
        return -0.5 * (parameters["a"] ** 2 + parameters["b"] ** 2) / 0.3**2


def raise_error():
    raise ZeroDivisionError("no such model")


def interrupt():
    raise KeyboardInterrupt


@pytest.fixture
def priors():
    return PriorDict({"a": Uniform(-3, 3), "b": Uniform(-3, 3)})


@pytest.fixture
def run(tmp_path, priors):
    """Run the sampler through bilby, quickly."""

    def run(likelihood, priors=priors, **kwargs):
        settings = dict(n_effective=300, n_sims=300, seed=1, print_method="none", resume=False, save=False)
        settings |= {"outdir": str(tmp_path), "label": "bad", "training": {"n_epochs": 10}} | kwargs
        return bilby.run_sampler(likelihood, priors, sampler="nbi", **settings)

    return run


@pytest.mark.parametrize(
    ("keywords", "kind", "message"),
    [
        ({"n_efective": 5}, TypeError, r"'n_efective': did you mean 'n_effective'\?"),
        ({"flows": "maf"}, TypeError, r"'flows': did you mean 'flow'\?"),
        ({"bananas": 5}, TypeError, "'bananas': valid: .*n_effective"),
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
        ({"vectorized": "no"}, ValueError, "vectorized: expected 'auto', True or False; got 'no'"),
        ({"device": "gpu"}, ValueError, "device: expected 'auto', 'cpu', 'cuda'"),
        ({"npool": 0}, ValueError, "npool: expected an integer of at least 1"),
        ({"resume": "maybe"}, ValueError, "resume: expected True or False; got 'maybe'"),
        ({"check_point_delta_t": -1}, ValueError, "check_point_delta_t: expected a positive number"),
        ({"print_method": "loud"}, ValueError, "print_method: expected 'tqdm'"),
        ({"model": "trained.pt"}, ValueError, "model: expected a trained NBI or the path of a saved one"),
        ({"simulator": "no.such.module"}, ValueError, "simulator: expected 'package.module.attribute'"),
        ({"simulator": 3, "x_obs": [1.0]}, TypeError, "simulator: expected a function"),
        ({"simulator": len}, ValueError, "x_obs: expected the observed data .* got None"),
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
    with pytest.raises(TypeError, match=r"pool: expected a concurrent\.futures\.Executor or .* got int"):
        run(Counted(), pool=4)


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


def test_draws_paid_for_before_a_late_error_are_on_disk(run, tmp_path, priors):
    likelihood = Counted(at=900, then=raise_error)
    expected = r"no such model.*draws so far are in .*checkpoint\.npz"
    with pytest.raises(LikelihoodError, match=expected) as caught:
        run(likelihood, n_sims=150)
    saved = read_draws(tmp_path / "nbi_bad" / "checkpoint.npz")
    assert 0 < caught.value.partial.finished.sum() < len(saved["z"])
    assert saved["names"].tolist() == ["a", "b"]
    # All calls but bilby's 100 or so and the probe's.
    assert 770 < len(saved["z"]) < 900
    expected = -0.5 * np.sum(saved["theta"] ** 2, axis=1) / 0.3**2
    assert np.allclose(saved["log_likelihood"], expected)
    assert np.allclose(saved["theta"], ParameterSpace(priors).to_theta(saved["z"]))
    assert np.isfinite(saved["log_ratio"]).all()
    assert [path.name for path in (tmp_path / "nbi_bad").iterdir()] == ["checkpoint.npz"]


def test_draws_paid_for_before_an_interruption_are_on_disk(run, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(Counted(at=500, then=interrupt))
    assert len(read_draws(tmp_path / "nbi_bad" / "checkpoint.npz")["z"]) > 350


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGALRM])
def test_a_signal_saves_the_draws_and_leaves_with_the_exit_code(run, tmp_path, number):
    def kill():
        os.kill(os.getpid(), number)
        return -1.0

    with pytest.raises(SystemExit) as caught:
        run(Counted(at=500, then=kill), exit_code=77)
    assert caught.value.code == 77
    assert len(read_draws(tmp_path / "nbi_bad" / "checkpoint.npz")["z"]) > 350


def test_predictions_made_before_an_error_are_weighted_and_kept(priors, rng):
    x = np.linspace(0, 1, 10)
    calls = []

    def model(x, a, b):
        calls.append(a)
        if len(calls) > 40:
            raise ValueError("broken")
        return float(a) + float(b) * x

    likelihood = GaussianLikelihood(x, x, model, sigma=0.1)
    from nbi_sampler.forward import forward_model_for

    space = ParameterSpace(priors)
    function = likelihood.log_likelihood
    evaluator = Evaluator(space, lambda p: function(p), forward_model_for(likelihood), rng)
    z = rng.normal(size=(100, 2))
    with pytest.raises(LikelihoodError, match="broken") as caught:
        evaluator(z)
    partial = caught.value.partial
    done = partial.finished
    assert done.sum() == partial.n_calls > 15 and np.array_equal(done, np.arange(100) < done.sum())
    calls.clear()
    expected = [function(space.row(row)) for row in partial.theta[done]]
    assert np.allclose(partial.log_likelihood[done], expected)
    assert np.array_equal(partial.z, z)


def test_plus_infinity_is_an_error_that_names_the_parameters(run):
    with pytest.raises(ValueError, match=r"\+inf for 1 of .*at a="):
        run(Counted(at=300, then=lambda: np.inf))


def test_nan_is_minus_infinity_and_counted(run):
    result = run(Counted(at=300, then=lambda: np.nan))
    assert result.meta_data["nbi"]["n_nan"] == 1
    assert result.meta_data["nbi"]["status"] == "ok"


def test_nan_everywhere_is_not_paid_for_again(run):
    class Broken(Likelihood):
        def log_likelihood(self, parameters):
            return np.nan

    own = run(Broken()).meta_data["nbi"]
    assert own["status"] == "no finite likelihood"
    assert [each["phase"] for each in own["rounds"]] == ["prior"]


@pytest.mark.parametrize("value", [-np.inf, np.nan])
@pytest.mark.parametrize("extension", ["json", "hdf5"])
def test_no_finite_likelihood_is_a_status_and_an_empty_result(run, tmp_path, value, extension, bilby_log):
    class Nowhere(Likelihood):
        def log_likelihood(self, parameters):
            return value

    result = run(Nowhere(), save=extension)
    own = bilby.read_in_result(outdir=str(tmp_path), label="bad", extension=extension).meta_data["nbi"]
    assert own["status"] == "no finite likelihood"
    assert "narrow the priors" in own["message"]
    assert result.log_evidence == -np.inf
    assert len(result.posterior) == len(result.nested_samples) == 0
    assert any(
        "no finite likelihood" in r.getMessage() for r in bilby_log.records if r.levelname == "WARNING"
    )


def test_a_budget_too_small_is_a_status_and_what_was_paid_for(run):
    result = run(Counted(), n_effective=5000, max_likelihood_calls=1500)
    own = result.meta_data["nbi"]
    assert own["status"] == "n_effective not reached"
    assert "raise max_likelihood_calls" in own["message"]
    assert result.num_likelihood_evaluations <= 1500
    assert len(result.posterior) > 30
    exact = np.log(2 * np.pi * 0.3**2 / 36)
    assert result.log_evidence == pytest.approx(exact, abs=4 * result.log_evidence_err)


def test_a_budget_spent_on_the_prior_alone_still_gives_its_weighted_draws(run):
    result = run(Counted(), max_likelihood_calls=200)
    assert result.meta_data["nbi"]["status"] == "unreliable weights"
    assert "raise max_likelihood_calls" in result.meta_data["nbi"]["message"]
    assert len(result.nested_samples) == 200
    assert len(result.posterior) > 0


def heavy(n, power):
    return power * np.log(np.random.default_rng(0).pareto(1.0, size=n) + 1.0)


@pytest.mark.parametrize(
    ("log_weights", "n_effective", "status"),
    [
        (np.zeros(500), 400, "ok"),
        (np.zeros(500), 600, "n_effective not reached"),
        (np.zeros(50), 40, "few distinct samples"),
        (np.append(np.zeros(5000), np.log(400.0)), 100, "unreliable weights"),
        (heavy(5000, 1.0), 10, "unreliable weights"),
        (np.full(300, -np.inf), 10, "no finite likelihood"),
        (np.zeros(0), 10, "no finite likelihood"),
    ],
)
def test_status_is_the_worst_that_applies(log_weights, n_effective, status):
    verdict = judge(summarise(log_weights), n_effective, n_calls=5000)
    assert verdict.status == status
    assert verdict.message


def test_a_heavy_tail_without_mass_is_no_reason_for_distrust():
    log_weights = 0.01 * heavy(5000, 1.0) + np.where(np.arange(5000) < 3, np.log(10.0), 0.0)
    weights = summarise(log_weights)
    assert weights.ess > 0.9 * len(log_weights)
    assert judge(weights, 1000, 5000).status == "ok"
