"""The engine: train once on simulations, then infer any number of targets, in the style of scikit-learn.

`NBI` ties together what the rooms of `amortised` do, with the networks, the training loop and the importance
sampling of the sampler. Called by users.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError

from nbi_sampler.amortised.estimator import Estimator
from nbi_sampler.amortised.fitting import fit_estimator
from nbi_sampler.amortised.inference import Inference, infer
from nbi_sampler.amortised.monitoring import monitored
from nbi_sampler.amortised.networks import suited_to
from nbi_sampler.amortised.saving import load_engine, save_estimator
from nbi_sampler.amortised.sequential import focus, infer_focused
from nbi_sampler.amortised.setup import Setup
from nbi_sampler.amortised.unfamiliar import OutOfDistributionWarning, warn_of_unfamiliar
from nbi_sampler.amortised.weighing import sequential_target, weighed
from nbi_sampler.config import TrainingConfig, build
from nbi_sampler.randomness import stage_generator

__all__ = ["NBI", "OutOfDistributionWarning"]

Array = NDArray[np.float64]
LogLikelihood = Callable[..., ArrayLike]


class NBI(BaseEstimator):
    """Neural Bayesian inference: posteriors of many targets from one training.

    Parameters
    ----------
    flow : str, dict or torch.nn.Module
        Density estimator: ``"maf"``, ``"nsf"``, ``"mdn"``; a dictionary of settings, such as
        ``{"n_dims": 3, "flow_hidden": 64, "num_blocks": 2, "n_mog": 8}``; or a module with ``log_prob`` and
        ``sample``.
    featurizer : str, dict or torch.nn.Module
        How data become features: ``"auto"``, ``"resnet-gru"``, ``"attention"``, ``"mlp"``, ``"resnet"``,
        ``"gru"``; a dictionary such as ``{"type": "resnet-gru", "dim_in": 1, "depth": 3}``; or a module from
        (n, n_rows, length) to (n, n_features).
    simulator : callable, optional
        ``simulator(parameters) -> ndarray`` without noise, parameters by name where priors are bilby's;
        ``simulator(theta)`` with theta of shape (n_dim,) where they are a list of scipy's distributions. Not
        needed where simulations are given and nothing is weighed.
    noise : float, ndarray or callable, optional
        Standard deviation of Gaussian noise; or ``noise(x, rng)`` that returns x with noise, or
        ``(x, x_err)``, or ``(x, x_err, mask)``, drawing uncertainties and missing points too, which networks
        then see. What it returns may have another shape than a simulation.
    priors : bilby.core.prior.PriorDict, dict or list of scipy.stats.rv_frozen
    labels : sequence of str, optional
        Names of the parameters of a list of priors.
    channels : sequence of str, optional
        What each row of the data is: ``"value"``, ``"time"`` or ``"band"``; all are values when None.
    seed : int, optional
        Same seed, same result. None takes a fresh one. No global generator is seeded.
    device : str
        Where networks train: ``"auto"``, ``"cpu"`` or ``"cuda"``.
    n_jobs : int
        Processes that simulate; -1 for as many as there are processors.
    pool : object, optional
        Instead: any `concurrent.futures.Executor`, or an object with ``map``; never closed.

    Attributes
    ----------
    estimator_ : Estimator
        After an amortised fit.
    training_set_ : TrainingSet
        Simulations so far.
    training_info_ : TrainingInfo
        Losses of the last amortised fit.
    focused_ : Focused
        After a sequential fit.

    References
    ----------
    Zhang, Bloom & Hernitschek (2023), arXiv:2312.03824.

    Examples
    --------
    >>> from scipy import stats
    >>> t = np.linspace(0, 1, 8)
    >>> engine = NBI("maf", "mlp", lambda theta: theta[0] * t, 0.1, [stats.uniform(0, 1)], seed=1)
    >>> engine = engine.fit(n_sims=200, n_epochs=2)
    >>> samples, weights = engine.predict(0.5 * t, n_samples=100)
    >>> samples.shape, round(float(weights.sum()), 6)
    ((100, 1), 1.0)
    """

    def __init__(
        self,
        flow: Any = "maf",
        featurizer: Any = "auto",
        simulator: Callable[..., ArrayLike] | None = None,
        noise: Any = None,
        priors: Any = None,
        *,
        labels: Sequence[str] | None = None,
        channels: Sequence[str] | None = None,
        seed: int | None = None,
        device: str = "auto",
        n_jobs: int = 1,
        pool: Any = None,
    ) -> None:
        # As given, so that scikit-learn can clone the engine; `Setup` knows what they mean.
        self.flow = flow
        self.featurizer = featurizer
        self.simulator = simulator
        self.noise = noise
        self.priors = priors
        self.labels = labels
        self.channels = channels
        self.seed = seed
        self.device = device
        self.n_jobs = n_jobs
        self.pool = pool
        self._setup = Setup.read(self.get_params(deep=False))

    def fit(
        self,
        n_sims: int = 1000,
        n_rounds: int = 1,
        n_epochs: int = 100,
        *,
        x: ArrayLike | None = None,
        y: ArrayLike | None = None,
        x_obs: ArrayLike | None = None,
        x_err: ArrayLike | None = None,
        mask: ArrayLike | None = None,
        log_likelihood: LogLikelihood | None = None,
        store: str | Path | None = None,
        loss: str = "nll",
        refine: bool = True,
        training: Mapping[str, Any] | None = None,
        on_epoch: Callable[[int, float, float], None] | None = None,
    ) -> NBI:
        """Train: once for all targets, or in rounds for one.

        Called again, it goes on from the simulations that it has.

        Parameters
        ----------
        n_sims : int
            Simulations in all, or in each round.
        n_rounds : int
            1 is amortised; more are sequential and need ``x_obs``.
        n_epochs : int
            Most epochs of a training.
        x : array_like, shape (n, *shape), optional
            Simulations without noise that were made before; none are made then.
        y : array_like, shape (n, n_dim), optional
            Their parameters, drawn from the priors.
        x_obs, x_err, mask, log_likelihood : optional
            The target of sequential rounds; see `infer`.
        store : str or pathlib.Path, optional
            File in which the simulations are kept as they are made, and looked for first.
        loss : {"nll", "apt"}
            Of sequential rounds; see docs/losses.md.
        refine : bool
            Whether sequential rounds go over to fits of the weighted draws once the posterior is found. False
            is the paper's Algorithm 1.
        training : mapping, optional
            Further settings of `TrainingConfig`, such as ``batch_size`` and ``learning_rate``.
        on_epoch : callable, optional
            Called with the number of every epoch and its training and validation losses.
        """
        config = build(TrainingConfig, {**(training or {}), "n_epochs": n_epochs}, "training")
        monitor = partial(monitored, self._setup, {**self.get_params(deep=False), **asdict(config)}, on_epoch)
        if n_rounds > 1:
            model = sequential_target(self._setup, x_obs, x_err, mask, log_likelihood)
            rounds = {"n_sims": n_sims, "n_rounds": n_rounds, "loss": loss, "refine": refine}
            with monitor() as observer:
                self.focused_ = focus(model, np.asarray(x_obs), self._setup, rounds, config, observer)
            return self
        self.training_set_ = self._setup.training_set(
            n_sims, x, y, store, getattr(self, "training_set_", None)
        )
        with monitor() as observer:
            observer.training_started("amortised")
            self.estimator_, self.training_info_ = fit_estimator(
                self.training_set_,
                self.noise,
                self._setup.space,
                lambda layout: self._setup.networks(
                    suited_to(layout, self._setup.featurizer), config.n_threads
                ),
                config,
                stage_generator(self._setup.entropy, "train"),
                self.channels,
                observer.epoch_finished,
            )
        return self

    def predict(
        self,
        x_obs: ArrayLike,
        x_err: ArrayLike | None = None,
        mask: ArrayLike | None = None,
        *,
        n_samples: int = 2000,
        log_likelihood: LogLikelihood | None = None,
    ) -> tuple[Array, Array]:
        """Weighted samples of the posterior of one target, or of each of several; arguments as of `infer`.

        Returns
        -------
        samples : ndarray, shape (n_samples, n_dim) or (n_targets, n_samples, n_dim)
        weights : ndarray, shape (n_samples,) or (n_targets, n_samples)
            Summing to 1 for each target; NaN where no likelihood was finite.

        Warns
        -----
        OutOfDistributionWarning
            Where data are unlike the simulations.
        """
        found = self.infer(x_obs, x_err, mask, n_samples=n_samples, log_likelihood=log_likelihood)
        warn_of_unfamiliar([each.p_value for each in found])
        samples, weights = (
            np.stack(part) for part in zip(*((f.samples, f.weights) for f in found), strict=True)
        )
        single = self._is_focused_on(x_obs) or self._fitted().layout.is_single(x_obs)
        return (samples[0], weights[0]) if single else (samples, weights)

    def infer(
        self,
        x_obs: ArrayLike,
        x_err: ArrayLike | None = None,
        mask: ArrayLike | None = None,
        *,
        n_samples: int = 2000,
        log_likelihood: LogLikelihood | None = None,
        on_target: Callable[[], None] | None = None,
    ) -> list[Inference]:
        """Posterior, evidence and verdict of every target, by importance sampling from the trained network.

        Parameters
        ----------
        x_obs : array_like, shape (*data_shape) or (n_targets, *data_shape)
        x_err : array_like, optional
            Uncertainties of the values: one number, of shape (length,), (n_targets, 1) or that of the data.
            Networks see them where the noise function gave some in training; weights are Gaussian in them.
        mask : array_like of bool, shape (length,) or (n_targets, length), optional
            True where a point is present.
        n_samples : int
            Draws, and simulations, for each target.
        log_likelihood : callable, optional
            ``(x, y, observation) -> ndarray, shape (n,)`` instead of Gaussian errors: simulations x, shape
            (n, *shape), of parameters y, shape (n, n_dim), and an object with the target's ``x``, ``x_err``
            and ``mask``.
        on_target : callable, optional
            Called after every target, for progress.

        Returns
        -------
        list of Inference
            One for each target.
        """
        if self._is_focused_on(x_obs):
            return infer_focused(self.focused_, self._setup, n_samples, on_target)
        estimator = self._fitted()
        given = estimator.layout.several(x_obs, x_err, mask)
        seen = estimator.seen(*given)
        with self._setup.evaluator() as (evaluator, shape):
            weigh, observations = weighed(log_likelihood, self.noise, estimator.layout, shape, *given)
            return infer(
                estimator.proposals(*seen),
                observations,
                estimator.p_value(*seen),
                evaluator,
                weigh,
                n_samples,
                self._setup.entropy,
                on_target,
            )

    def sample(
        self,
        x_obs: ArrayLike,
        x_err: ArrayLike | None = None,
        mask: ArrayLike | None = None,
        *,
        n_samples: int = 2000,
    ) -> Array:
        """Draws of the network's posterior as it is, without weights and without a simulation.

        Returns
        -------
        ndarray, shape (n_samples, n_dim) or (n_targets, n_samples, n_dim)
        """
        estimator = self._fitted()
        seen = estimator.seen(x_obs, x_err, mask)
        warn_of_unfamiliar(estimator.p_value(*seen))
        entropy = self._setup.entropy
        z = (
            proposal.sample(n_samples, stage_generator(entropy, "predict", i))
            for i, proposal in enumerate(estimator.proposals(*seen))
        )
        samples = np.stack([estimator.space.to_theta(each) for each in z])
        return samples[0] if estimator.layout.is_single(x_obs) else samples

    def score(
        self, x: ArrayLike, y: ArrayLike, x_err: ArrayLike | None = None, mask: ArrayLike | None = None
    ) -> float:
        """Mean information gained about true parameters, in nats: their log posterior less their log prior.

        Parameters
        ----------
        x : array_like, shape (n_targets, *data_shape)
            With noise.
        y : array_like, shape (n_targets, n_dim)
            True parameters.
        x_err, mask : array_like, optional
        """
        estimator = self._fitted()
        targets = estimator.targets(*estimator.seen(x, x_err, mask))
        return float(np.mean(estimator.log_ratio(np.asarray(y, dtype=float), targets)))

    def save(self, path: str | Path) -> None:
        """Write the trained estimator to a file of arrays and text, which holds no code.

        A simulator and a noise function are code, and have to be given again to `load`.
        """
        save_estimator(path, self._fitted(), self._setup.priors, self._setup.about())

    @classmethod
    def load(cls, path: str | Path, **arguments: Any) -> NBI:
        """Read a trained engine; nothing of the file is executed.

        Parameters
        ----------
        path : str or pathlib.Path
        **arguments
            Of `NBI`: ``simulator`` and ``noise``, where they are functions, to weigh with (a warning says
            where their names are not those of the training); ``priors``, where the file could not hold them,
            as conditional or joint ones; ``flow`` and ``featurizer``, where they were modules of the user;
            ``device``, ``n_jobs`` and ``pool``.

        Raises
        ------
        ArchiveError
            The file is no saved engine.
        ValueError
            Something has to be given, or is not that of the training.
        """
        estimator, restored = load_engine(path, arguments)
        engine = cls(**restored)
        engine.estimator_ = estimator
        return engine

    def set_params(self, **params: Any) -> NBI:
        """Change arguments; what was trained stays."""
        super().set_params(**params)
        self._setup = Setup.read(self.get_params(deep=False))
        return self

    def _fitted(self) -> Estimator:
        if not hasattr(self, "estimator_"):
            raise NotFittedError(
                "NBI: expected an engine that was trained for all targets, got one that was not; call fit "
                "with n_rounds=1"
            )
        return self.estimator_

    def _is_focused_on(self, x_obs: ArrayLike) -> bool:
        return hasattr(self, "focused_") and np.array_equal(self.focused_.x_obs, x_obs, equal_nan=True)
