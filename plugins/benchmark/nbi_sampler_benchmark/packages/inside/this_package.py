"""Adapter for `nbi_sampler.NBI`, with the networks that docs/amortised.md recommends for short series."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["train"]

Array = NDArray[np.float64]

FLOW = {"flow_hidden": 128, "num_blocks": 2, "n_mog": 8}
FEATURIZER = {"type": "mlp", "hidden": 256, "depth": 3, "dim_out": 64}
TRAINING = {"n_epochs": 150, "batch_size": 128, "patience": 30, "n_threads": 1}


class _Trained:
    """A trained engine in its latent coordinates."""

    def __init__(self, engine: Any, seed: int, about: dict[str, Any]) -> None:
        self.about = about
        self._estimator = engine.estimator_
        self._rng = np.random.default_rng(seed)

    def log_prob(self, theta: Array, x: Array) -> Array:
        """See `worker.Estimator`."""
        observation = self._estimator.observation(np.array(x))
        return self._estimator.log_ratio(theta, observation) + _log_normal(theta)

    def sample(self, x: Array, n: int) -> Array:
        """See `worker.Estimator`."""
        return self._estimator.proposals(self._estimator.observation(x))[0].sample(n, self._rng)


def train(task: Any, options: dict[str, Any]) -> _Trained:
    """Train.

    Parameters
    ----------
    task : worker.Task
        Parameters in coordinates in which the prior is standard normal.
    options : dict
        ``flow``, ``featurizer`` and ``training``: what to change in the settings above. ``fresh_noise``:
        False for data as they are, in every epoch. ``defaults``: True for the engine as it is without any
        setting, in place of those above. ``n_ensemble``: as of the engine.
    """
    from scipy import stats

    from nbi_sampler import NBI

    usual: Any = (FLOW, FEATURIZER, TRAINING)
    if options.get("defaults"):
        usual = ({}, {}, {"n_threads": 1})
    flow, featurizer, training = (
        {**own, **options.get(name, {})}
        for name, own in zip(("flow", "featurizer", "training"), usual, strict=True)
    )
    epochs = {"n_epochs": training.pop("n_epochs")} if "n_epochs" in training else {}
    simulations, noise = task.x, None
    if task.sigma is not None and options.get("fresh_noise", True):
        sigma = np.broadcast_to(task.sigma, task.predictions.shape)
        simulations, noise = np.stack([task.predictions, sigma], 1), _noise
    losses: list[float] = []
    engine = NBI(
        flow,
        featurizer,
        noise=noise,
        priors=[stats.norm()] * task.theta.shape[1],
        seed=int(task.seed),
        device="cpu",
        n_ensemble=options.get("n_ensemble", 1),
    )
    engine.fit(
        **epochs,
        x=simulations,
        y=task.theta,
        training=training,
        on_epoch=lambda number, training_loss, loss: losses.append(loss),
    )
    return _Trained(engine, int(task.seed), {"epochs": len(losses)})


def _noise(simulations: Array, rng: np.random.Generator) -> Array:
    """Gaussian noise on predictions with their standard deviations, shape (..., 2, n_data)."""
    return simulations[..., 0, :] + simulations[..., 1, :] * rng.normal(size=simulations[..., 0, :].shape)


def _log_normal(z: Array) -> Array:
    """Log density of N(0, I), shape (n,)."""
    return -0.5 * (z**2 + np.log(2.0 * np.pi)).sum(1)
