"""Diagnosis of a trained estimator: simulations that it has not seen, and observations, put to every test.

The tests themselves are those of `reports.diagnostics`; this file makes what they compare.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nbi_sampler import __version__
from nbi_sampler.algorithm.proposals.proposal import FlowProposal, log_normal
from nbi_sampler.amortised.data_format import DataFormat, Observation
from nbi_sampler.amortised.estimator import Estimator
from nbi_sampler.amortised.importance_weighting import errors_of_noise, target_likelihood
from nbi_sampler.amortised.inference import LogLikelihood
from nbi_sampler.amortised.noise import NoiseLaw
from nbi_sampler.amortised.setup import Setup
from nbi_sampler.amortised.simulator import TargetModel
from nbi_sampler.amortised.training_set import TrainingSet
from nbi_sampler.amortised.usable import UsableRows, by_name
from nbi_sampler.core.config import DIAGNOSIS, PRIOR_EDGES
from nbi_sampler.core.randomness import stage_generator
from nbi_sampler.core.types import Array
from nbi_sampler.evaluation.evaluator import Evaluator
from nbi_sampler.forward.arrays import as_numbers
from nbi_sampler.importance.residuals import chi_squared, correlation, tail_probabilities
from nbi_sampler.importance.weights import effective_sample_size, normalised_weights
from nbi_sampler.reports.diagnostics.assessment import Assessment, assess
from nbi_sampler.reports.diagnostics.diagnosis import Diagnosis, ObservationCheck
from nbi_sampler.reports.diagnostics.local import local_calibration
from nbi_sampler.reports.model_fit import ModelFit

__all__ = ["Targets", "diagnose"]

# Of which draws are made together, which bounds memory.
TARGETS_AT_ONCE = 50


@dataclass(frozen=True)
class Targets:
    """Simulated targets with noise, and their true parameters.

    Attributes
    ----------
    theta : ndarray, shape (n, n_dim)
    observation : Observation
        Checked.
    """

    theta: Array
    observation: Observation

    @classmethod
    def given(cls, estimator: Estimator, parts: Sequence[Any], y: Any) -> Targets:
        """Targets of the user: data with noise, perhaps uncertainties and mask, and their parameters."""
        if len(parts) not in (1, 2, 3):
            raise ValueError(
                f"x: expected data, or a tuple of data, uncertainties and mask, got {len(parts)} parts"
            )
        observation = estimator.observation(*parts)
        theta = by_name(y, estimator.space)
        if theta.shape != (len(observation.x), estimator.space.n_dim):
            raise ValueError(
                f"y: expected parameters of the targets, shape ({len(observation.x)}, "
                f"{estimator.space.n_dim}), got {theta.shape}"
            )
        return cls(theta, observation)

    @classmethod
    def simulated(cls, estimator: Estimator, setup: Setup, n_sims: int) -> Targets:
        """Targets from priors, simulator and noise, none of which the networks have seen."""
        if setup.simulator is None:
            raise ValueError(
                "simulator: expected a function, got None; give NBI or NBI.load one, or pass x= and y=, "
                "simulations with noise that the networks have not seen, and their parameters"
            )
        rng = stage_generator(setup.entropy, "diagnose", "noise")
        seed = int(stage_generator(setup.entropy, "diagnose", "simulate").integers(2**62))
        with setup.evaluator() as (evaluator, _):
            made = TrainingSet.grown(None, n_sims, evaluator, seed)
        used = UsableRows(estimator.space)(made.theta, made.x)
        theta, x = made.theta[used], made.x[used]
        noisy = NoiseLaw(setup.noise, x, theta)(x, rng, theta)
        return cls(theta, estimator.observation(*noisy))


def diagnose(
    estimator: Estimator,
    setup: Setup,
    targets: Targets,
    x_obs: ArrayLike | None = None,
    x_err: ArrayLike | None = None,
    x_mask: ArrayLike | None = None,
    log_likelihood: LogLikelihood | None = None,
) -> Diagnosis:
    """Put an estimator to every test.

    Parameters
    ----------
    estimator : Estimator
    setup : Setup
    targets : Targets
        At least 100.
    x_obs, x_err, x_mask : array_like, optional
        Observations, as `NBI.infer` takes them.
    log_likelihood : callable, optional
        See `NBI.infer`.
    """
    n_targets = len(targets.theta)
    if n_targets < DIAGNOSIS.fewest_simulations:
        raise ValueError(
            f"n_sims: expected {DIAGNOSIS.fewest_simulations} usable simulations at least, got {n_targets}; "
            "with fewer, no test can find a fault"
        )
    rng = stage_generator(setup.entropy, "diagnose", "draws")
    z, draws, assessment = _assessed(estimator, targets, rng)
    about = {"nbi-sampler": __version__, "Seed": str(setup.entropy)}
    scored = estimator.ood_test.score(estimator.summary(estimator.data_format, targets.observation))
    if x_obs is None:
        return Diagnosis(assessment, scored, np.empty(0), (), about)
    if x_err is None and not estimator.data_format.has_uncertainty and not callable(setup.noise):
        x_err = None if setup.noise is None else errors_of_noise(setup.noise)
    observation = estimator.observation(x_obs, x_err, x_mask, for_networks=False)
    own = estimator.ood_test.score(estimator.summary(estimator.data_format, observation))
    fits = _Fits(estimator, setup, observation, as_numbers(x_obs, "x_obs"), log_likelihood)
    checks = []
    for i, proposal in enumerate(estimator.proposals(observation)[: DIAGNOSIS.most_observations]):
        own_draws = proposal.sample(DIAGNOSIS.n_posterior, rng)
        local = local_calibration(draws, z, own_draws, rng=rng)
        checks.append(fits.checked(i, local, proposal, own_draws))
    return Diagnosis(assessment, scored, own, tuple(checks), about)


def _assessed(
    estimator: Estimator, targets: Targets, rng: np.random.Generator
) -> tuple[Array, Array, Assessment]:
    """True parameters as z, shape (n, n_dim), draws, shape (n, n_draws, n_dim), and their ranks."""
    # A discrete value is a range of z, within which the truth is anywhere.
    z, n_draws = estimator.space.to_z(targets.theta, rng), DIAGNOSIS.n_draws
    uncut, features = np.zeros(z.shape[1]), estimator.features(targets.observation)
    draws, log_density, log_truth = [], [], []
    for start in range(0, len(z), TARGETS_AT_ONCE):
        own = features[start : start + TARGETS_AT_ONCE]
        many = FlowProposal(estimator.flow, own.repeat_interleave(n_draws, 0), estimator.affine, uncut)
        drawn, true = many.sample(len(own) * n_draws, rng), z[start : start + TARGETS_AT_ONCE]
        single = FlowProposal(estimator.flow, own, estimator.affine, uncut)
        draws.append(drawn.reshape(len(own), n_draws, -1))
        log_density.append((many.log_ratio(drawn) + log_normal(drawn)).reshape(len(own), n_draws))
        log_truth.append(single.log_ratio(true) + log_normal(true))
    assessment = assess(
        np.concatenate(draws),
        z,
        names=estimator.names,
        log_density=np.concatenate(log_density),
        log_density_truth=np.concatenate(log_truth),
        rng=rng,
    )
    return z, np.concatenate(draws), assessment


@dataclass(frozen=True)
class _Fits:
    """Posterior predictive checks of observations, where simulator and errors are known."""

    estimator: Estimator
    setup: Setup
    observation: Observation
    x_obs: NDArray[Any]
    log_likelihood: LogLikelihood | None

    def checked(self, i: int, local: Any, proposal: FlowProposal, z: Array) -> ObservationCheck:
        """Checks of observation ``i``, of which z are draws of the network, shape (n, n_dim)."""
        if self.setup.simulator is None:
            return ObservationCheck(local)
        with self.setup.evaluator() as (evaluator, model):
            if not self._comparable(model) and self.log_likelihood is None:
                return ObservationCheck(local)
            return self._simulated(i, local, proposal, z, evaluator, model)

    def _comparable(self, model: TargetModel) -> bool:
        """Return whether data can be compared with simulations point by point, in units of known errors."""
        known = self.estimator.data_format
        alike = model.data_shape == known.data_shape and (known.is_complex or not model.is_complex)
        return alike and self.observation.x_err is not None

    def _simulated(
        self, i: int, local: Any, proposal: FlowProposal, z: Array, evaluator: Evaluator, model: TargetModel
    ) -> ObservationCheck:
        known = self.estimator.data_format, model, self.observation, self.x_obs
        weigh, targets = target_likelihood(self.log_likelihood, *known)
        made = evaluator(z)
        assert made.predictions is not None
        log_l = np.array(weigh(made.predictions, made.theta, targets[i]), dtype=float)
        finite = np.isfinite(made.predictions).all(1) & np.isfinite(made.log_likelihood)
        log_l[np.isnan(log_l) | ~finite] = -np.inf
        if not np.isfinite(log_l).any():
            return ObservationCheck(local, None, 0.0, 0.0)
        log_weights = log_l - proposal.log_ratio(z)
        weights, ess = normalised_weights(log_weights), effective_sample_size(log_weights)
        weighted = ess >= PRIOR_EDGES.fewest_effective
        if not self._comparable(model):
            return ObservationCheck(local, None, ess / len(z), ess, weighted)
        used = weights if weighted else finite / finite.sum()
        # As many draws of equal weight as tell a p-value.
        rng = stage_generator(self.setup.entropy, "diagnose", "predicted", i)
        rows = rng.choice(len(z), DIAGNOSIS.n_predicted, p=used)
        data = self.estimator.data_format.as_channels(model.as_data(made.predictions[rows]))
        part = Observation(*(each[i] for each in self.observation))
        fit = _fit(self.estimator.data_format, part, data)
        return ObservationCheck(local, fit, ess / len(z), ess, weighted)


def _fit(known: DataFormat, observation: Observation, predictions: Array) -> ModelFit:
    """Predictive p-values under Gaussian errors, of predictions of shape (n, n_channels, length)."""
    values = [i for i, role in enumerate(known.channels) if role == "value"]
    present = observation.mask
    residuals = observation.x[values][:, present] - predictions[:, values][:, :, present]
    residuals = residuals / observation.x_err[:, present]
    n_values, n_present = residuals.shape[1:]
    rows = residuals.reshape(len(residuals), -1)
    # Pixels of an image have no neighbours in this sense.
    sequences = (
        ()
        if known.image_size
        else [np.arange(n_present, dtype=np.intp) + k * n_present for k in range(n_values)]
    )
    chances = tail_probabilities(rows, sequences)
    return ModelFit(
        p_values={name: float(each.mean()) for name, each in chances.items()},
        chi_squared=float(chi_squared(rows).mean()),
        correlation=float(correlation(rows, sequences).mean()),
        n_data=rows.shape[1],
        residuals=np.asarray(rows.mean(0)),
    )
