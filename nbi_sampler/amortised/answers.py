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
from nbi_sampler.amortised.inference import Inferences, infer
from nbi_sampler.amortised.out_of_distribution import warn_of_unfamiliar
from nbi_sampler.amortised.sequential import Focused, infer_focused
from nbi_sampler.amortised.setup import Setup
from nbi_sampler.amortised.unreliable import warn_of_weights
from nbi_sampler.amortised.weighing import weighed
from nbi_sampler.core.guarded import in_own_settings
from nbi_sampler.core.randomness import stage_generator
from nbi_sampler.forward.arrays import as_real_numbers

__all__ = ["Answers", "LogLikelihood", "one_mask"]

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

    @in_own_settings
    def infer(
        self,
        x_obs: ArrayLike,
        x_err: ArrayLike | None = None,
        x_mask: ArrayLike | None = None,
        *,
        n_samples: int = 2000,
        log_likelihood: LogLikelihood | None = None,
        on_target: Callable[[], None] | None = None,
        mask: ArrayLike | None = None,
    ) -> Inferences:
        """Posterior, evidence and verdict of every target, by importance sampling from the trained network.

        Parameters
        ----------
        x_obs : array_like, shape (*data_shape) or (n_targets, *data_shape)
            Real, or complex where simulations or their noise are.
        x_err : array_like, optional
            Uncertainties of the values: one number, of shape (length,), (n_targets, 1) or that of the data.
            Networks see them where the noise function gave some in training; weights are Gaussian in them.
            Of complex data it is the standard deviation of the real and of the imaginary part each.
        x_mask : array_like of bool, shape (length,) or (n_targets, length), optional
            True where a point is present. Needed where networks were trained with masks, unless points that
            are NaN say which are missing; True for complete data.
        n_samples : int
            Draws, and simulations, for each target.
        log_likelihood : callable, optional
            ``(x, y, observation) -> ndarray, shape (n,)`` instead of Gaussian errors: simulations x, shape
            (n, *shape), of parameters y, shape (n, n_dim), and an object with the target's ``x``, ``x_err``
            and ``mask``.
        on_target : callable, optional
            Called after every target, for progress.
        mask : array_like, optional
            Another name of ``x_mask``.

        Returns
        -------
        list of Inference
            One for each target; it prints a summary.

        Raises
        ------
        NotFittedError
            Before `fit`.
        TypeError, ValueError
            For data that cannot be used; says what was expected and what was given.
        """
        x_mask = one_mask(x_mask, mask)
        _check_number(n_samples)
        self._check_fitted()
        if self._is_focused_on(x_obs, x_err, x_mask):
            return infer_focused(self.focused_, self._setup, n_samples, log_likelihood, on_target)
        estimator = self._fitted()
        given = estimator.layout.several(x_obs, x_err, x_mask)
        seen = estimator.seen(*given)
        # Data are checked before the simulator is called.
        proposals = estimator.proposals(*seen)
        with self._setup.evaluator() as (evaluator, model):
            weigh, observations = weighed(log_likelihood, self.noise, estimator.layout, model, *given)
            return infer(
                proposals,
                observations,
                estimator.p_value(*seen),
                evaluator,
                weigh,
                n_samples,
                self._setup.entropy,
                on_target,
            )

    @in_own_settings
    def predict(
        self,
        x_obs: ArrayLike,
        x_err: ArrayLike | None = None,
        x_mask: ArrayLike | None = None,
        *,
        n_samples: int = 2000,
        log_likelihood: LogLikelihood | None = None,
        mask: ArrayLike | None = None,
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
        UnreliableWeightsWarning
            Where weights are bad: the status that `infer` gives is not "ok", and not for few draws alone.
        """
        x_mask = one_mask(x_mask, mask)
        found = self.infer(x_obs, x_err, x_mask, n_samples=n_samples, log_likelihood=log_likelihood)
        warn_of_unfamiliar([each.p_value for each in found])
        warn_of_weights(found)
        samples, weights = (
            np.stack(part) for part in zip(*((f.samples, f.weights) for f in found), strict=True)
        )
        single = self._is_focused_on(x_obs, x_err, x_mask) or self._fitted().layout.is_single(x_obs)
        return (samples[0], weights[0]) if single else (samples, weights)

    @in_own_settings
    def sample(
        self,
        x_obs: ArrayLike,
        x_err: ArrayLike | None = None,
        x_mask: ArrayLike | None = None,
        *,
        n_samples: int = 2000,
        mask: ArrayLike | None = None,
    ) -> Array:
        """Draws of the network's posterior as it is, without weights and without a simulation.

        Returns
        -------
        ndarray, shape (n_samples, n_dim) or (n_targets, n_samples, n_dim)
        """
        _check_number(n_samples)
        estimator = self._fitted()
        seen = estimator.seen(x_obs, x_err, one_mask(x_mask, mask))
        warn_of_unfamiliar(estimator.p_value(*seen))
        entropy = self._setup.entropy
        z = (
            proposal.sample(n_samples, stage_generator(entropy, "predict", i))
            for i, proposal in enumerate(estimator.proposals(*seen))
        )
        samples = np.stack([estimator.space.to_theta(each) for each in z])
        return samples[0] if estimator.layout.is_single(x_obs) else samples

    @in_own_settings
    def score(
        self,
        x: ArrayLike,
        y: ArrayLike,
        x_err: ArrayLike | None = None,
        x_mask: ArrayLike | None = None,
        *,
        mask: ArrayLike | None = None,
    ) -> float:
        """Mean information gained about true parameters, in nats: their log posterior less their log prior.

        Parameters
        ----------
        x : array_like, shape (n_targets, *data_shape)
            With noise.
        y : array_like, shape (n_targets, n_dim)
            True parameters.
        x_err, x_mask : array_like, optional
        mask : array_like, optional
            Another name of ``x_mask``.
        """
        estimator = self._fitted()
        targets = estimator.targets(*estimator.seen(x, x_err, one_mask(x_mask, mask)))
        theta = np.atleast_2d(as_real_numbers(y, "y"))
        expected = (len(targets.x), estimator.space.n_dim)
        if theta.shape != expected:
            raise ValueError(
                f"y: expected the parameters of the targets, shape {expected}, got {np.shape(y)}"
            )
        return float(np.mean(estimator.log_ratio(theta, targets)))

    def _check_fitted(self) -> None:
        if not hasattr(self, "estimator_") and not hasattr(self, "focused_"):
            raise NotFittedError(
                "NBI: expected an engine that was trained, got one that was not; call fit first, or load a "
                "trained one by NBI.load"
            )

    def _fitted(self) -> Estimator:
        self._check_fitted()
        if not hasattr(self, "estimator_"):
            raise NotFittedError(
                "NBI: expected an engine that was trained for all targets, got one that was trained for the "
                "target of its rounds alone; give that, or call fit with n_rounds=1"
            )
        return self.estimator_

    def _is_focused_on(self, x_obs: ArrayLike, x_err: ArrayLike | None, mask: ArrayLike | None) -> bool:
        return hasattr(self, "focused_") and self.focused_.is_of(x_obs, x_err, mask)


def one_mask(x_mask: ArrayLike | None, mask: ArrayLike | None) -> ArrayLike | None:
    """The mask by either of its names.

    Raises
    ------
    TypeError
        Where both are given.
    """
    if x_mask is not None and mask is not None:
        raise TypeError("x_mask: expected one mask, got mask= too, which is another name of it; leave it out")
    return mask if x_mask is None else x_mask


def _check_number(n_samples: object) -> None:
    if not isinstance(n_samples, int | np.integer) or isinstance(n_samples, bool) or n_samples < 1:
        raise ValueError(f"n_samples: expected an integer of at least 1, got {n_samples!r}")
