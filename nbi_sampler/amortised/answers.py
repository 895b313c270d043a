"""What a trained engine answers: draws, weights and a verdict for any target. Asking changes nothing.

The base class of `NBI`, which knows how to train.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.exceptions import NotFittedError

from nbi_sampler.amortised.estimator import Estimator
from nbi_sampler.amortised.inference import Inference, infer
from nbi_sampler.amortised.sequential import Focused, infer_focused
from nbi_sampler.amortised.setup import Setup
from nbi_sampler.amortised.unfamiliar import warn_of_unfamiliar
from nbi_sampler.amortised.weighing import weighed
from nbi_sampler.randomness import stage_generator

__all__ = ["Answers", "LogLikelihood"]

Array = NDArray[np.float64]
LogLikelihood = Callable[..., ArrayLike]


class Answers:
    """Posteriors of targets, from an estimator for all of them or from rounds for one.

    Attributes
    ----------
    noise : object
        As the user gave it.
    estimator_ : Estimator
        After an amortised fit.
    focused_ : Focused
        After a sequential fit.
    """

    noise: Any
    estimator_: Estimator
    focused_: Focused
    _setup: Setup

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
        if self._is_focused_on(x_obs, x_err, mask):
            return infer_focused(self.focused_, self._setup, n_samples, log_likelihood, on_target)
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
        single = self._is_focused_on(x_obs, x_err, mask) or self._fitted().layout.is_single(x_obs)
        return (samples[0], weights[0]) if single else (samples, weights)

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

    def _fitted(self) -> Estimator:
        if not hasattr(self, "estimator_"):
            raise NotFittedError(
                "NBI: expected an engine that was trained for all targets, got one that was not; call fit "
                "with n_rounds=1"
            )
        return self.estimator_

    def _is_focused_on(self, x_obs: ArrayLike, x_err: ArrayLike | None, mask: ArrayLike | None) -> bool:
        return hasattr(self, "focused_") and self.focused_.is_of(x_obs, x_err, mask)
