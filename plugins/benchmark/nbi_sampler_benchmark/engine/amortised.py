"""Requirements and measurements of the amortised engine: `nbi-sampler benchmark amortised`.

The problem is the sine model of the paper with a different noise level for each target. All networks have one
size.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from bilby.core.prior import PriorDict
from numpy.typing import NDArray

from nbi_sampler.amortised.engine import NBI
from nbi_sampler.reports.diagnostics import calibration_ranks, coverage, uniformity
from nbi_sampler_benchmark.problems import models
from nbi_sampler_benchmark.problems.registry import get_problem

__all__ = ["PARTS", "Figure", "amortised_table", "measure"]

Array = NDArray[np.float64]

N_POINTS = 50
FLOW = {"flow_hidden": 128, "num_blocks": 2, "n_mog": 8}
FEATURIZER = {"type": "mlp", "hidden": 256, "depth": 3, "dim_out": 64}
# Networks of the paper's listing, which gives no other setting.
LISTED_FLOW = {"n_dims": 3, "n_mog": 8}
LISTED_FEATURIZER = {"type": "resnet-gru", "dim_in": 1, "depth": 3}
LEVELS = (0.5, 0.8, 0.95)
# Networks of the paper's notebook (nbi 0.4.1, examples/demo-sine-v041.ipynb), with batches and rate of its
# code.
PAPER_FLOW = {"n_dims": 3, "flow_hidden": 128, "num_blocks": 5, "n_mog": 4}
PAPER_FEATURIZER = {"type": "resnet-gru", "dim_in": 1, "dim_out": 128, "dim_conv_max": 256, "depth": 3}
PAPER_TRAINING = {"batch_size": 64, "learning_rate": 1e-3, "patience": 300, "n_threads": 1}


class Figure(NamedTuple):
    """One row of the table.

    Attributes
    ----------
    name, required, measured : str
    reached : bool
    """

    name: str
    required: str
    measured: str
    reached: bool


def own_level(x: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """Gaussian noise of a level between 0.05 and 0.5, drawn for each target."""
    sigma = rng.uniform(0.05, 0.5, size=(*x.shape[:-1], 1))
    return x + sigma * rng.normal(size=x.shape), np.broadcast_to(sigma, x.shape)


def with_gaps(x: Array, rng: np.random.Generator) -> tuple[Array, Array, NDArray[np.bool_]]:
    """The same with two of three points and a gap of a fifth of the length."""
    noisy, x_err = own_level(x, rng)
    start = rng.uniform(0.0, 0.8, size=(*x.shape[:-1], 1)) * N_POINTS
    place = np.arange(N_POINTS)
    gap = (place >= start) & (place < start + 0.2 * N_POINTS)
    return noisy, x_err, (rng.random(x.shape) < 0.67) & ~gap


def _sine_engine(noise: Callable[..., Any], featurizer: Any, regular: bool = True, flow: Any = FLOW) -> NBI:
    t = np.linspace(0.0, 1.0, N_POINTS)
    if not regular:
        t = np.sort(np.random.default_rng(0).uniform(size=N_POINTS))

    def simulator(parameters: dict[str, float]) -> Array:
        return models.sine_model(t, **parameters)

    return NBI(flow, featurizer, simulator, noise, _priors(), seed=1, device="cpu")


def _priors() -> PriorDict:
    return get_problem("sine_demo").priors


def _targets(engine: NBI, noise: Callable[..., Any], n: int, seed: int) -> tuple[Array, tuple[Any, ...]]:
    """Parameters from the prior, and data."""
    rng = np.random.default_rng(seed)
    space, simulator = engine._setup.space, engine._setup.simulator
    assert simulator is not None
    theta = space.to_theta(rng.normal(size=(n, space.n_dim)))
    simulations = np.array([simulator(space.row(row)) for row in theta])
    return theta, noise(simulations, rng)


def _regular(n_sims: int, n_epochs: int, batch_size: int, least: float) -> Iterator[Figure]:
    engine = _sine_engine(own_level, FEATURIZER)
    start, cpu = time.perf_counter(), time.process_time()
    settings = {"batch_size": batch_size, "patience": 30, "n_threads": 1}
    engine.fit(n_sims=n_sims, n_epochs=n_epochs, training=settings)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    _, data = _targets(engine, own_level, 100, seed=5)
    median = float(np.median([found.efficiency for found in engine.infer(*data, n_samples=1000)]))
    name = f"{n_sims:,} simulations"
    yield Figure(f"{name}: median efficiency, 100 targets", f">= {least:g}", f"{median:.2f}", median >= least)
    if n_sims < 100_000:
        spent = f"{cpu:.0f} s of processor time ({seconds:.0f} s)"
        yield Figure(f"{name}: training", "<= 180 s", spent, cpu <= 180)
        _, data = _targets(engine, own_level, 1000, seed=7)
        start, cpu = time.perf_counter(), time.process_time()
        engine.predict(*data, n_samples=1000)
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
        spent = f"{cpu:.0f} s of processor time ({seconds:.0f} s)"
        yield Figure("1,000 targets x 1,000 weighted samples", "< 60 s", spent, cpu < 60)


def small() -> Iterator[Figure]:
    """12,800 simulations."""
    yield from _regular(12_800, n_epochs=150, batch_size=128, least=0.45)


def large() -> Iterator[Figure]:
    """200,000 simulations."""
    yield from _regular(200_000, n_epochs=45, batch_size=256, least=0.65)


def listing(n_sims: int = 12_800, n_epochs: int = 48) -> Iterator[Figure]:
    """The paper's listing, with only its arguments."""
    engine = _sine_engine(own_level, LISTED_FEATURIZER, flow=LISTED_FLOW)
    cpu = time.process_time()
    engine.fit(n_sims=n_sims, n_epochs=n_epochs)
    cpu = time.process_time() - cpu
    _, data = _targets(engine, own_level, 50, seed=5)
    median = float(np.median([found.efficiency for found in engine.infer(*data, n_samples=1000)]))
    name = f"the paper's listing, {n_sims:,} simulations, {n_epochs} epochs"
    yield Figure(f"{name}: median efficiency, 50 targets", ">= 0.4", f"{median:.2f}", median >= 0.4)
    yield Figure(f"{name}: training", "<= 180 s", f"{cpu:.0f} s of processor time", cpu <= 180)


def irregular() -> Iterator[Figure]:
    """Calibration for irregular series with gaps: of weighted samples and of the network's own samples."""
    engine = _sine_engine(with_gaps, "auto", regular=False)
    engine.fit(n_sims=60_000, n_epochs=5, training={"batch_size": 128, "n_threads": 1})
    theta, data = _targets(engine, with_gaps, 2000, seed=9)
    found = engine.infer(*data, n_samples=200)
    log_weights = np.stack([each.log_weights for each in found])
    largest = log_weights.max(1)
    truth = _log_weights_of_truths(engine, theta, *data) - largest
    ranks = calibration_ranks(
        np.stack([each.samples for each in found]),
        theta,
        np.exp(log_weights - largest[:, None]),
        np.exp(np.minimum(truth, 100.0)),
        rng=np.random.default_rng(3),
    )
    yield from _calibration("irregular, with gaps", ranks)
    own = calibration_ranks(engine.sample(*data, n_samples=200), theta, rng=np.random.default_rng(3))
    yield from _calibration("the same, without weights", own)


def _log_weights_of_truths(
    engine: NBI, theta: Array, x: Array, x_err: Array, mask: NDArray[np.bool_]
) -> Array:
    """Log likelihood minus log q of the true parameters, shape (n_targets,)."""
    estimator, simulator = engine.estimator_, engine._setup.simulator
    assert simulator is not None
    simulations = np.array([simulator(estimator.space.row(row)) for row in theta])
    terms = -0.5 * ((x - simulations) / x_err) ** 2 - 0.5 * np.log(2.0 * np.pi * x_err**2)
    log_likelihood = np.where(mask, terms, 0.0).sum(1)
    return log_likelihood - estimator.log_ratio(theta, estimator.observation(x, x_err, mask))


def _calibration(name: str, ranks: Array) -> Iterator[Figure]:
    p_values = uniformity(ranks)
    shown = ", ".join(f"{p:.2f}" for p in p_values)
    yield Figure(f"{name}: KS p of the ranks", "> 0.01 each", shown, bool((p_values > 0.01).all()))
    shares = [coverage(np.abs(2.0 * each - 1.0), LEVELS).shares for each in ranks.T]
    worst = float(np.abs(np.array(shares) - LEVELS).max())
    yield Figure(f"{name}: coverage off nominal", "<= 3 %", f"{100 * worst:.1f} %", worst <= 0.03)


def sequential() -> Iterator[Figure]:
    """Rounds on the data of the paper's demo, with 2,560 simulations each and the sampler's featurizer."""
    rounds = _rounds_of_the_demo("maf", "auto", 1, n_epochs=100, training={"n_threads": 1})
    name = "rounds on the paper's demo: best by round 3"
    yield Figure(name, ">= 60 %", _percent(rounds), max(rounds[:3]) >= 0.6)


def paper(n_sims: int = 2560, n_epochs: int = 300) -> Iterator[Figure]:
    """Algorithm 1 on the same data with the networks of the paper's notebook, three seeds."""
    required = ">= 38 % in its notebook, 14 % in a run of its code"
    given = {"n_sims": n_sims, "n_epochs": n_epochs, "refine": False, "training": PAPER_TRAINING}
    for seed in (1, 2, 3):
        rounds = _rounds_of_the_demo(PAPER_FLOW, PAPER_FEATURIZER, seed, **given)
        name = f"Algorithm 1 with the paper's networks, seed {seed}: best round"
        yield Figure(name, required, _percent(rounds), max(rounds) >= 0.38)


def _rounds_of_the_demo(flow: Any, featurizer: Any, seed: int, **given: Any) -> list[float]:
    """Efficiency of every round on the data of the paper's demo."""
    problem = get_problem("sine_demo")
    likelihood: Any = problem.likelihood

    def simulator(parameters: dict[str, float]) -> Array:
        return models.sine_model(likelihood.x, **parameters)

    engine = NBI(flow, featurizer, simulator, None, problem.priors, seed=seed, device="cpu")
    engine.fit(**{"n_sims": 2560, "n_rounds": 3, "x_obs": likelihood.y, "x_err": 0.1, **given})
    return [record.efficiency for record in engine.sequential_.records if record.phase != "prior"]


def _percent(shares: list[float]) -> str:
    return ", ".join(f"{100 * each:.0f} %" for each in shares)


PARTS: dict[str, Callable[[], Iterator[Figure]]] = {
    "small": small,
    "large": large,
    "listing": listing,
    "irregular": irregular,
    "sequential": sequential,
    "paper": paper,
}


def measure(parts: list[str]) -> Iterator[Figure]:
    """Yield the figures of the parts as they are measured."""
    for part in parts:
        yield from PARTS[part]()


def amortised_table(figures: list[Figure]) -> str:
    """Table of required and measured figures, as Markdown."""
    lines = ["| figure | required | measured | reached |", "|---|---|---|---|"]
    lines += [f"| {f.name} | {f.required} | {f.measured} | {'yes' if f.reached else 'no'} |" for f in figures]
    return "\n".join(lines)
