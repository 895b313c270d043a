"""Forward models: every adapter agrees with bilby's likelihood, in its value and in the law of its noise."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from bilby.core import likelihood as bl
from scipy import stats

from nbi_sampler.forward import ForwardModel, UserModel, forward_model_for

N_DATA = 12
X = np.linspace(0.1, 1.0, N_DATA)
SIGMAS = np.linspace(0.2, 0.9, N_DATA)
COV = np.array([[1.0, 0.5, 0.1], [0.5, 2.0, -0.3], [0.1, -0.3, 0.5]])
MEAN_1, MEAN_2 = np.array([1.0, -1.0, 0.0]), np.array([-2.0, 2.0, 1.0])


def line(x, m, c):
    return m * x + c


def line_with_keyword(x, m, c, power=1.0):
    return m * x**power + c


def constant(x, c):
    return c


def rate(x, m, c):
    return np.exp(m * x + c)


def line_of_sigma(x, m, sigma):
    return m * x + sigma


class Renamed(bl.GaussianLikelihood):
    """Own constructor, own method, bilby's log-likelihood."""

    def __init__(self, y):
        super().__init__(X, y, line, sigma=0.4)
        self.label = "mine"

    def plot(self):
        return self.label


@dataclass(frozen=True)
class Case:
    """A likelihood as a function of its data, a box of parameters, and the law of each datum."""

    make: Callable[[np.ndarray], Any]
    data: np.ndarray
    box: dict[str, tuple[float, float]]
    law: Callable[[np.ndarray, dict], Any] | None
    noise_parameters: tuple[str, ...] = ()
    white: bool = False
    # How far apart the parameters of two likelihoods may be whose ratio has a finite variance.
    step: float = 0.02


BOX = {"m": (-1.0, 2.0), "c": (0.5, 1.5)}
REAL = np.sin(5 * X) + 1 + np.random.default_rng(7).normal(0, 0.7, N_DATA)
COUNTS = np.arange(N_DATA) % 5
LIKELIHOODS = {
    "gaussian": Case(
        lambda y: bl.GaussianLikelihood(X, y, line, sigma=0.3),
        REAL,
        BOX,
        lambda m, p: stats.norm(m, 0.3),
        white=True,
    ),
    "gaussian, sigma array": Case(
        lambda y: bl.GaussianLikelihood(X, y, line, sigma=SIGMAS),
        REAL,
        BOX,
        lambda m, p: stats.norm(m, SIGMAS),
        white=True,
    ),
    "gaussian, unknown sigma": Case(
        lambda y: bl.GaussianLikelihood(X, y, line),
        REAL,
        BOX | {"sigma": (0.5, 2.0)},
        lambda m, p: stats.norm(m, p["sigma"]),
        noise_parameters=("sigma",),
        white=True,
    ),
    "gaussian, parameter wins over known sigma": Case(
        lambda y: bl.GaussianLikelihood(X, y, line, sigma=0.3),
        REAL,
        BOX | {"sigma": (0.5, 2.0)},
        lambda m, p: stats.norm(m, p["sigma"]),
        white=True,
    ),
    "gaussian, parameter wins over sigma array": Case(
        lambda y: bl.GaussianLikelihood(X, y, line, sigma=SIGMAS),
        REAL,
        BOX | {"sigma": (0.5, 2.0)},
        lambda m, p: stats.norm(m, p["sigma"]),
    ),
    "gaussian, sigma in the function too": Case(
        lambda y: bl.GaussianLikelihood(X, y, line_of_sigma),
        REAL,
        {"m": (-1.0, 2.0), "sigma": (0.5, 2.0)},
        lambda m, p: stats.norm(m, p["sigma"]),
        white=True,
    ),
    "gaussian, keyword": Case(
        lambda y: bl.GaussianLikelihood(X, y, line_with_keyword, sigma=0.3, power=2.0),
        REAL,
        BOX,
        lambda m, p: stats.norm(m, 0.3),
        white=True,
    ),
    "gaussian, scalar prediction": Case(
        lambda y: bl.GaussianLikelihood(X, y, constant, sigma=0.3),
        REAL,
        {"c": (0.5, 1.5)},
        lambda m, p: stats.norm(m, 0.3),
        white=True,
    ),
    "gaussian, harmless subclass": Case(Renamed, REAL, BOX, lambda m, p: stats.norm(m, 0.4), white=True),
    "poisson": Case(
        lambda y: bl.PoissonLikelihood(X, y.astype(int), rate), COUNTS, BOX, lambda m, p: stats.poisson(m)
    ),
    "exponential": Case(
        lambda y: bl.ExponentialLikelihood(X, y, rate), np.abs(REAL), BOX, lambda m, p: stats.expon(scale=m)
    ),
    "student-t": Case(
        lambda y: bl.StudentTLikelihood(X, y, line, nu=5.0, sigma=0.5),
        REAL,
        BOX,
        lambda m, p: stats.t(5.0, m, 0.5),
    ),
    "student-t, unknown nu": Case(
        lambda y: bl.StudentTLikelihood(X, y, line, sigma=2.0),
        REAL,
        BOX | {"nu": (2.0, 9.0)},
        lambda m, p: stats.t(p["nu"], m, 2.0),
        noise_parameters=("nu",),
    ),
    "student-t, sigma is no parameter": Case(
        lambda y: bl.StudentTLikelihood(X, y, line, nu=5.0, sigma=0.5),
        REAL,
        BOX | {"sigma": (1.0, 2.0)},
        lambda m, p: stats.t(5.0, m, 0.5),
    ),
    "multinomial": Case(
        lambda y: bl.Multinomial(y, 4, base="p"),
        np.array([5, 0, 9, 16]),
        {f"p{k}": (0.1, 0.3) for k in range(3)},
        lambda m, p: stats.binom(30, m / 30),
    ),
    "covariant": Case(
        lambda y: bl.AnalyticalMultidimensionalCovariantGaussian(y, COV),
        MEAN_1,
        {f"x{k}": (-2.0, 2.0) for k in range(3)},
        lambda m, p: stats.norm(m, np.sqrt(np.diag(COV))),
        white=True,
    ),
    "bimodal": Case(
        # The observed datum is zero; another datum moves both means by as much.
        lambda y: bl.AnalyticalMultidimensionalBimodalCovariantGaussian(MEAN_1 + y, MEAN_2 + y, COV),
        np.zeros(3),
        {f"x{k}": (-2.0, 2.0) for k in range(3)},
        None,
    ),
    "joint": Case(
        lambda y: bl.JointLikelihood(
            bl.GaussianLikelihood(X, y[:N_DATA], line, sigma=0.3),
            bl.PoissonLikelihood(X[:5], y[N_DATA:].astype(int), rate),
        ),
        np.concatenate([REAL, COUNTS[:5]]),
        BOX,
        None,
    ),
    "joint, whitened": Case(
        lambda y: bl.JointLikelihood(
            bl.GaussianLikelihood(X, y[:N_DATA], line, sigma=0.3),
            bl.GaussianLikelihood(X, y[N_DATA:], line, sigma=SIGMAS),
        ),
        np.concatenate([REAL, REAL]),
        BOX,
        lambda m, p: stats.norm(m, np.concatenate([np.full(N_DATA, 0.3), SIGMAS])),
        white=True,
    ),
    "joint, shared sigma": Case(
        lambda y: bl.JointLikelihood(
            bl.GaussianLikelihood(X, y[:N_DATA], line),
            bl.GaussianLikelihood(X, y[N_DATA:], line, sigma=0.1),
        ),
        np.concatenate([REAL, REAL]),
        BOX | {"sigma": (0.5, 2.0)},
        lambda m, p: stats.norm(m, p["sigma"]),
        noise_parameters=("sigma",),
    ),
}


@pytest.fixture(params=LIKELIHOODS, ids=lambda name: name.replace(", ", "-").replace(" ", "_"))
def case(request) -> Case:
    return LIKELIHOODS[request.param]


def model_of(case: Case) -> ForwardModel:
    model = forward_model_for(case.make(case.data))
    assert model is not None
    return model


def draw(case: Case, n: int, seed: int = 1) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {key: rng.uniform(*limits, n) for key, limits in case.box.items()}


def rows(columns: dict[str, np.ndarray]) -> list[dict[str, float]]:
    n = len(next(iter(columns.values())))
    return [{key: float(value[i]) for key, value in columns.items()} for i in range(n)]


def tensors(columns: dict[str, np.ndarray], dtype=torch.float64) -> dict[str, torch.Tensor]:
    return {key: torch.tensor(value, dtype=dtype) for key, value in columns.items()}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def repeated(
    case: Case, parameters: dict[str, float], n: int, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """One prediction and n data sets drawn from it."""
    model = model_of(case)
    prediction = model.simulate(parameters)
    columns = tensors({key: np.full(n, value) for key, value in parameters.items()})
    noisy = model.noise(torch.tensor(prediction).expand(n, -1), columns, generator(seed))
    return prediction, noisy.numpy()


def test_shapes_and_contract(case):
    model = model_of(case)
    assert model.observed.dtype == np.float64
    assert model.observed.shape == (model.shape[0] * model.shape[1],)
    assert model.noise_parameters == case.noise_parameters
    assert model.has_log_likelihood
    assert model.name
    np.testing.assert_array_equal(model.observed, case.data)


def test_log_likelihood_is_bilbys(case):
    likelihood = case.make(case.data)
    columns = draw(case, 40)
    predictions = np.stack([model_of(case).simulate(row) for row in rows(columns)])
    expected = [likelihood.log_likelihood(row) for row in rows(columns)]
    np.testing.assert_allclose(model_of(case).log_likelihood(predictions, columns), expected, rtol=1e-10)


def test_simulate_batch_equals_simulate(case):
    columns = draw(case, 7)
    expected = np.stack([model_of(case).simulate(row) for row in rows(columns)])
    np.testing.assert_allclose(model_of(case).simulate_batch(columns), expected, rtol=1e-13, atol=1e-13)


def log_ratio(case: Case, data: np.ndarray, here: dict[str, float], there: dict[str, float]) -> np.ndarray:
    likelihoods = [case.make(row) for row in data]
    return np.array([one.log_likelihood(there) - one.log_likelihood(here) for one in likelihoods])


@pytest.mark.parametrize("seed", [3, 4, 5])
def test_noise_is_the_law_of_bilbys_likelihood(case, seed):
    # The mean of L(y | theta') / L(y | theta) over data drawn at theta is one, whatever theta'.
    here = rows(draw(case, 1, seed))[0]
    rng = np.random.default_rng(seed)
    there = {
        key: here[key] + case.step * float(rng.choice([-1, 1])) * (high - low)
        for key, (low, high) in case.box.items()
    }
    ratios = np.exp(log_ratio(case, repeated(case, here, 1500, seed)[1], here, there))
    assert abs(ratios.mean() - 1) < 4 * ratios.std() / np.sqrt(len(ratios))


def test_law_check_notices_a_wrong_noise():
    case = LIKELIHOODS["gaussian, unknown sigma"]
    here = {"m": 1.0, "c": 1.0, "sigma": 1.0}
    prediction, data = repeated(case, here, 1500)
    ratios = np.exp(log_ratio(case, prediction + 1.3 * (data - prediction), here, here | {"sigma": 1.1}))
    assert abs(ratios.mean() - 1) > 4 * ratios.std() / np.sqrt(len(ratios))


@pytest.mark.parametrize("name", [name for name, case in LIKELIHOODS.items() if case.law is not None])
def test_marginals_of_the_noise(name):
    case = LIKELIHOODS[name]
    parameters = rows(draw(case, 1, 8))[0]
    prediction, data = repeated(case, parameters, 2000)
    law = case.law(prediction, parameters)
    v = np.random.default_rng(0).random(data.shape)
    # The randomised probability integral transform is uniform for discrete laws too.
    low = law.cdf(data - 1) if hasattr(law, "pmf") else law.cdf(data)
    pit = low + v * law.pmf(data) if hasattr(law, "pmf") else low
    p_values = [stats.kstest(pit[:, k], "uniform").pvalue for k in range(data.shape[1])]
    assert min(p_values) > 1e-3 / data.shape[1]


def test_bimodal_noise_uses_both_modes_equally():
    prediction, data = repeated(LIKELIHOODS["bimodal"], {"x0": 0.3, "x1": 0.1, "x2": -0.2}, 4000)

    def cdf(values, k):
        scale = np.sqrt(COV[k, k])
        return sum(stats.norm.cdf(values, prediction[k] - mean[k], scale) for mean in (MEAN_1, MEAN_2)) / 2

    for k in range(3):
        assert stats.kstest(data[:, k], lambda values, k=k: cdf(values, k)).pvalue > 1e-3
    first = repeated(LIKELIHOODS["covariant"], {"x0": 0.0, "x1": 0.0, "x2": 0.0}, 4000)[1]
    np.testing.assert_allclose(np.cov(first.T), COV, atol=5 * 2 / np.sqrt(4000))


def test_stabilised_noise_has_a_scale_of_about_one(case):
    model = model_of(case)
    columns = draw(case, 400, 2)
    predictions = torch.tensor(model.simulate_batch(columns))
    noisy = model.stabilise(model.noise(predictions, tensors(columns), generator()))
    scale = (noisy - model.stabilise(predictions)).std(dim=0)
    assert torch.isfinite(noisy).all()
    assert 0.3 < scale.median() < 6
    assert model.stabilise(torch.tensor(model.observed)[None]).abs().max() == 0


def test_white_noise_scale(case):
    model = model_of(case)
    n = 3000
    columns = draw(case, n, 2)
    scale = model.white_noise_scale(tensors(columns))
    assert (scale is not None) == case.white
    if scale is None:
        return
    predictions = torch.tensor(model.simulate_batch(columns))
    noisy = model.noise(predictions, tensors(columns), generator(3))
    white = ((model.stabilise(noisy) - model.stabilise(predictions)) / scale[:, None]).numpy()
    assert scale.shape == (n,)
    assert stats.kstest(white.reshape(-1), "norm").pvalue > 1e-3
    # Sample correlations of n white draws scatter by 1 / sqrt(n).
    off_diagonal = np.corrcoef(white.T) - np.eye(white.shape[1])
    assert np.abs(off_diagonal).max() < 5 / np.sqrt(n)
    if model.is_whitened(columns):
        np.testing.assert_array_equal(scale.numpy(), 1.0)


def test_noise_takes_its_numbers_from_the_generator_only(case):
    model = model_of(case)
    columns = draw(case, 20)
    predictions = torch.tensor(model.simulate_batch(columns))
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    kept = predictions.clone()
    first, again, other = (model.noise(predictions, tensors(columns), generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(predictions, kept)
    assert torch.equal(before[0], torch.random.get_rng_state())
    np.testing.assert_array_equal(before[1], np.random.get_state()[1])


def test_single_precision(case):
    model = model_of(case)
    columns = draw(case, 50)
    predictions = torch.tensor(model.simulate_batch(columns), dtype=torch.float32)
    noisy = model.noise(predictions, tensors(columns, torch.float32), generator())
    assert noisy.dtype == torch.float32
    assert noisy.shape == predictions.shape
    stabilised = model.stabilise(noisy)
    assert stabilised.dtype == torch.float32
    assert torch.isfinite(stabilised).all()
    # Constants of one precision must not leak into the other.
    assert model.stabilise(noisy.double()).dtype == torch.float64


def test_nan_in_a_prediction_spoils_its_row_only(case):
    model = model_of(case)
    columns = draw(case, 5)
    predictions = model.simulate_batch(columns)
    good = model.log_likelihood(predictions, columns)
    predictions[2, 1] = np.nan
    values = model.log_likelihood(predictions, columns)
    assert np.isnan(values[2])
    np.testing.assert_array_equal(np.delete(values, 2), np.delete(good, 2))
    noisy = model.noise(torch.tensor(predictions), tensors(columns), generator())
    assert torch.isnan(noisy[2, 1])
    assert torch.isfinite(noisy[[0, 1, 3, 4]]).all()


def test_infinite_predictions_never_count_as_likely(case):
    model = model_of(case)
    columns = draw(case, 2)
    for value in (-np.inf, np.inf):
        predictions = model.simulate_batch(columns)
        predictions[0, 1] = value
        log_likelihood = model.log_likelihood(predictions, columns)
        # A class without objects says nothing about its probability, in bilby either.
        if "p0" not in columns:
            assert np.isnan(log_likelihood[0]) or log_likelihood[0] == -np.inf
        assert np.isfinite(log_likelihood[1])
        model.noise(torch.tensor(predictions), tensors(columns), generator())


def test_one_call_of_the_model_for_each_draw():
    calls = []

    def counted(x, m, c):
        calls.append(m)
        return line(x, m, c)

    model = forward_model_for(bl.GaussianLikelihood(X, REAL, counted, sigma=0.3))
    columns = draw(LIKELIHOODS["gaussian"], 6)
    predictions = np.stack([model.simulate(row) for row in rows(columns)])
    model.log_likelihood(predictions, columns)
    model.stabilise(model.noise(torch.tensor(predictions), tensors(columns), generator()))
    assert len(calls) == 6
    model.simulate_batch(columns)
    assert len(calls) == 7


def test_predictions_do_not_share_the_buffer_of_the_function():
    buffer = np.zeros(N_DATA)

    def reuses(x, m, c):
        np.add(m * x, c, out=buffer)
        return buffer

    model = forward_model_for(bl.GaussianLikelihood(X, REAL, reuses, sigma=0.3))
    first = model.simulate({"m": 1.0, "c": 0.0})
    model.simulate({"m": 5.0, "c": 0.0})
    np.testing.assert_array_equal(first, X)


class OwnLogLikelihood(bl.GaussianLikelihood):
    def log_likelihood(self, parameters=None):
        return super().log_likelihood(parameters) / 2


class OwnResidual(bl.GaussianLikelihood):
    def residual(self, parameters=None):
        return 2 * super().residual(parameters)


class OwnData(bl.GaussianLikelihood):
    @property
    def y(self):
        return self._y + 1

    @y.setter
    def y(self, y):
        self._y = y


class OwnScale(bl.StudentTLikelihood):
    lam = 3.0


@pytest.mark.parametrize("cls", [OwnLogLikelihood, OwnResidual, OwnData, OwnScale])
def test_overriding_subclass_is_not_recognised(cls):
    assert forward_model_for(cls(X, REAL, line, sigma=0.3)) is None


def test_overridden_instance_is_not_recognised():
    likelihood = bl.GaussianLikelihood(X, REAL, line, sigma=0.3)
    likelihood.log_likelihood = lambda parameters=None: 0.0
    assert forward_model_for(likelihood) is None


def test_other_likelihoods_are_not_recognised():
    gaussian = bl.GaussianLikelihood(X, REAL, line, sigma=0.3)
    own = OwnLogLikelihood(X, REAL, line, sigma=0.3)
    assert forward_model_for(bl.Likelihood()) is None
    assert forward_model_for(bl.ZeroLikelihood(gaussian)) is None
    assert forward_model_for(bl.JointLikelihood(gaussian, own)) is None
    assert forward_model_for(object()) is None


def test_bilbys_deprecated_state_is_not_read():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in ("gaussian", "gaussian, unknown sigma", "student-t", "student-t, unknown nu"):
            model_of(LIKELIHOODS[name])


def test_layout_of_channels():
    two = np.stack([REAL, REAL + 1])
    gaussian = bl.GaussianLikelihood(np.arange(2), two, lambda x, m: m + np.zeros((2, N_DATA)), sigma=0.3)
    model = forward_model_for(gaussian)
    assert model.shape == (2, N_DATA)
    assert model.simulate({"m": 1.0}).shape == (2 * N_DATA,)
    with pytest.raises(NotImplementedError):
        model.simulate_batch({"m": np.ones(3)})
    assert model_of(LIKELIHOODS["joint, whitened"]).shape == (2, N_DATA)
    assert model_of(LIKELIHOODS["joint"]).shape == (1, N_DATA + 5)


def test_nested_joint_and_predicting_sigma():
    inner = bl.JointLikelihood(
        bl.GaussianLikelihood(X, REAL, line), bl.GaussianLikelihood(X, REAL, line_of_sigma)
    )
    model = forward_model_for(bl.JointLikelihood(inner, bl.GaussianLikelihood(X, REAL, line, sigma=0.1)))
    # One part reads sigma in its function, so that a prediction cannot be kept when sigma changes.
    assert model.noise_parameters == ()
    assert set(model.prediction_parameters) == {"m", "c", "sigma"}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda y: bl.GaussianLikelihood(X, y, line, sigma=0.3), "2 non-finite.*mask"),
        (lambda y: bl.ExponentialLikelihood(X, np.abs(y), rate), "2 non-finite.*mask"),
        (lambda y: bl.StudentTLikelihood(X, y, line, nu=3.0), "2 non-finite.*mask"),
        (lambda y: bl.GaussianLikelihood(X, np.ma.masked_invalid(y), line, sigma=0.3), "2 masked"),
        (lambda y: bl.GaussianLikelihood(X, REAL + 1j, line, sigma=0.3), "complex"),
        (
            lambda y: bl.GaussianLikelihood(X, REAL, line, sigma=np.where(X > 0.5, np.inf, 1.0)),
            "sigma.*finite",
        ),
        (lambda y: bl.GaussianLikelihood(X, REAL, line, sigma=0.0), "sigma.*zero"),
        (lambda y: bl.Multinomial([1, 2, 3], 4), "classes"),
    ],
)
def test_unusable_data_are_refused(make, message):
    y = REAL.copy()
    y[[1, 5]] = np.nan
    with pytest.raises(ValueError, match=message):
        forward_model_for(make(y))


def test_missing_sigma_is_named():
    model = forward_model_for(bl.GaussianLikelihood(X, REAL, line))
    columns = {"m": np.ones(2), "c": np.ones(2)}
    with pytest.raises(ValueError, match=r"sigma.*prior"):
        model.log_likelihood(np.ones((2, N_DATA)), columns)
    with pytest.raises(ValueError, match=r"sigma.*prior"):
        model.noise(torch.ones(2, N_DATA), tensors(columns), generator())


def test_edges_of_poisson():
    counts = COUNTS.astype(int)
    likelihood = bl.PoissonLikelihood(X, counts, lambda x, m: np.maximum(m * (x - 0.5), 0.0))
    model = forward_model_for(likelihood)
    prediction = model.simulate({"m": 1.0})
    value = model.log_likelihood(prediction[None], {"m": np.ones(1)})
    assert value[0] == likelihood.log_likelihood({"m": 1.0}) == -np.inf
    assert torch.isfinite(model.noise(torch.tensor(prediction)[None], {}, generator())).all()
    # torch's integers overflow at such rates, and would call them dark.
    huge = torch.full((1, N_DATA), 1e30)
    torch.testing.assert_close(model.noise(huge, {}, generator()), huge)
    for function, message in ((lambda x, m: m * (x - 0.5), "negative"), (lambda x, m: m, "ndarray")):
        broken = forward_model_for(bl.PoissonLikelihood(X, counts, function))
        with pytest.raises(ValueError, match=message):
            broken.simulate({"m": 1.0})


def test_edges_of_exponential():
    y = np.abs(REAL)
    y[3] = 0.0
    likelihood = bl.ExponentialLikelihood(X, y, line)
    model = forward_model_for(likelihood)
    parameters = {"m": -5.0, "c": 1.0}
    columns = {key: np.array([value]) for key, value in parameters.items()}
    value = model.log_likelihood(model.simulate(parameters)[None], columns)
    with np.errstate(all="ignore"):
        assert value[0] == likelihood.log_likelihood(parameters) == -np.inf
    assert torch.isfinite(model.stabilise(torch.tensor(y)[None])).all()


def test_edges_of_multinomial():
    likelihood = bl.Multinomial([5, 0, 9], 3)
    model = forward_model_for(likelihood)
    columns = {"parameter_0": np.array([0.7, 0.4, 0.5]), "parameter_1": np.array([0.6, 0.0, 0.5])}
    with np.errstate(all="ignore"):
        expected = [likelihood.log_likelihood(row) for row in rows(columns)]
    assert np.isnan(expected[0])
    assert expected[2] == -np.inf
    np.testing.assert_allclose(
        model.log_likelihood(model.simulate_batch(columns), columns), expected, rtol=1e-10
    )
    noisy = model.noise(torch.tensor(model.simulate_batch(columns)), tensors(columns), generator())
    assert torch.isnan(noisy[0]).all()
    np.testing.assert_array_equal(noisy[1:].sum(dim=1).numpy(), 14)
    assert noisy[1, 1] == 0


def test_student_t_refuses_what_bilby_refuses():
    model = forward_model_for(bl.StudentTLikelihood(X, REAL, line))
    with pytest.raises(ValueError, match=r"nu.*positive"):
        model.log_likelihood(np.ones((1, N_DATA)), {"nu": np.array([-1.0])})


def test_wrong_length_of_a_prediction_is_named():
    model = forward_model_for(bl.GaussianLikelihood(X, REAL, lambda x, m: m * x[:5], sigma=0.3))
    with pytest.raises(ValueError, match=r"func.*\(12,\).*\(5,\)"):
        model.simulate({"m": 1.0})


def test_large_offset_survives_in_double_precision():
    model = forward_model_for(bl.GaussianLikelihood(X, REAL + 1e9, line, sigma=1e-3))
    data = torch.tensor(REAL + 1e9 + 1e-3)[None]
    np.testing.assert_allclose(model.stabilise(data).float().numpy(), 1.0, atol=1e-3)


def test_reference_scale_follows_the_noise_and_not_the_signal():
    x = np.linspace(0, 1, 500)
    y = 100 * np.sin(6 * x) + np.random.default_rng(0).normal(size=500)
    model = forward_model_for(bl.GaussianLikelihood(x, y, lambda x, a: a * np.sin(6 * x)))
    scale = model.white_noise_scale({"sigma": torch.ones(1)})
    assert 0.7 < scale.item() < 1.4
    flat = forward_model_for(bl.GaussianLikelihood(x, np.full(500, 7.0), lambda x, a: a * x))
    assert torch.isfinite(flat.white_noise_scale({"sigma": torch.ones(1)})).all()


def test_models_can_be_sent_to_workers():
    model = model_of(LIKELIHOODS["gaussian"])
    model.stabilise(torch.zeros(1, N_DATA))
    copy = pickle.loads(pickle.dumps(model))
    parameters = {"m": 1.0, "c": 0.5}
    np.testing.assert_array_equal(copy.simulate(parameters), model.simulate(parameters))
    assert copy._tensors == {}


def shifted(parameters):
    return parameters["a"] + np.zeros((2, 5))


def poisson_noise(prediction, rng):
    return rng.poisson(prediction).astype(float)


X_OBS = np.arange(10.0).reshape(2, 5) + 50


@pytest.mark.parametrize("noise", [0.5, np.array([[0.5], [2.0]]), poisson_noise, None])
def test_user_model(noise):
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    model = UserModel(shifted, noise, X_OBS)
    assert model.shape == (2, 5)
    assert not model.has_log_likelihood
    prediction = model.simulate({"a": 60.0})
    predictions = torch.tensor(prediction, dtype=torch.float32).expand(2000, -1)
    noisy = model.noise(predictions, {"a": torch.full((2000,), 60.0)}, generator(1))
    assert noisy.dtype == torch.float32
    assert torch.equal(noisy, model.noise(predictions, {}, generator(1)))
    assert torch.equal(before[0], torch.random.get_rng_state())
    np.testing.assert_array_equal(before[1], np.random.get_state()[1])
    scale = model.white_noise_scale({"a": torch.ones(3)})
    assert (scale is None) == (noise is None or callable(noise))
    if noise is None:
        assert torch.equal(noisy, predictions)
    else:
        # Within the ten per cent to which a noise function's scale is learnt, several times.
        np.testing.assert_allclose(model.stabilise(noisy).std(dim=0).numpy(), 1.0, atol=0.35)
    if callable(noise):
        assert (
            stats.kstest(noisy[:, 0].numpy() + np.random.default_rng(0).random(2000), _poisson_cdf).pvalue
            > 1e-3
        )
    with pytest.raises(NotImplementedError, match="likelihood"):
        model.log_likelihood(prediction[None], {})


def _poisson_cdf(values):
    whole = np.floor(values)
    return stats.poisson.cdf(whole - 1, 60) + (values - whole) * stats.poisson.pmf(whole, 60)


def test_user_model_keeps_what_users_hold():
    def simulator(parameters):
        return parameters.pop("a") * np.ones(3)

    def in_place(prediction, rng):
        prediction += rng.normal(size=prediction.shape)
        return prediction

    x_obs = np.zeros(3)
    model = UserModel(simulator, in_place, x_obs)
    parameters = {"a": 1.0}
    predictions = torch.ones(4, 3)
    model.simulate(parameters)
    model.noise(predictions, {}, generator())
    assert parameters == {"a": 1.0}
    assert torch.equal(predictions, torch.ones(4, 3))
    np.testing.assert_array_equal(x_obs, 0.0)


def test_user_model_in_one_call():
    model = UserModel(lambda p: p["a"] * X + p["b"], 0.1, X)
    columns = {"a": np.array([1.0, 2.0]), "b": np.array([0.0, 1.0])}
    np.testing.assert_array_equal(model.simulate_batch(columns), [X, 2 * X + 1])
    for refused in (UserModel(shifted, 0.1, X_OBS), UserModel(lambda p: p["a"] * X, None, X)):
        with pytest.raises(NotImplementedError):
            refused.simulate_batch(columns)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((shifted, 0.0, X_OBS), ValueError, "noise.*positive"),
        ((shifted, np.ones(7), X_OBS), ValueError, "noise.*broadcast"),
        ((shifted, 1.0, np.full((2, 5), np.nan)), ValueError, "x_obs.*10 non-finite"),
        ((np.ones(3), 1.0, X_OBS), TypeError, "simulator"),
        ((shifted, lambda prediction, rng: prediction[0], X_OBS), ValueError, "noise.*shape"),
    ],
)
def test_user_model_refuses(arguments, error, message):
    with pytest.raises(error, match=message):
        UserModel(*arguments)


def test_user_model_names_a_wrong_shape():
    with pytest.raises(ValueError, match=r"simulator.*\(2, 5\).*\(3,\)"):
        UserModel(lambda p: np.ones(3), 1.0, X_OBS).simulate({})
