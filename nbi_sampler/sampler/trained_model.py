"""A trained model at the start of a run or of a survey: read, compared, and applied to the observed data."""

from __future__ import annotations

import hashlib
import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakKeyDictionary

import numpy as np
import torch
from bilby.core.prior import PriorDict
from numpy.typing import ArrayLike

from nbi_sampler.algorithm.history import Draws
from nbi_sampler.algorithm.proposals.proposal import MixtureProposal, PriorProposal
from nbi_sampler.algorithm.start import Start
from nbi_sampler.amortised import Estimator, Observation
from nbi_sampler.amortised.saving import KINDS, load_estimator
from nbi_sampler.core.config import MODEL_START
from nbi_sampler.core.randomness import torch_generator
from nbi_sampler.forward import ForwardModel
from nbi_sampler.forward.arrays import as_numbers
from nbi_sampler.priors.portable import NotPortable
from nbi_sampler.priors.space import ParameterSpace
from nbi_sampler.storage.archive import ArchiveError
from nbi_sampler.storage.objects import Packer

__all__ = ["ModelCheck", "check_priors", "digest_of", "estimator_of", "observed_by", "start_at"]

# No query changes an estimator, and each target of a survey asks for the digest.
_digests: WeakKeyDictionary[Estimator, str] = WeakKeyDictionary()


def estimator_of(model: object, priors: PriorDict) -> Estimator:
    """Return the trained estimator for ``model=``: from a file of `NBI.save`, or from a trained object.

    If a file has no priors, those of the run are used.

    Raises
    ------
    TypeError
        For any other argument.
    ValueError
        If a file is not a saved model, or lacks a part that only a program can supply.
    """
    if isinstance(model, str | os.PathLike):
        return _read(Path(model), priors)
    estimator = getattr(model, "estimator_", model)
    if not isinstance(estimator, Estimator):
        raise TypeError(
            f"model: expected a trained NBI or the path of a saved one, got {type(model).__name__} without "
            "an estimator; fit it with n_rounds=1 first"
        )
    return estimator


def check_priors(estimator: Estimator, space: ParameterSpace) -> None:
    """Refuse a model that was trained for other parameters or priors, whose coordinates differ.

    Raises
    ------
    ValueError
        The message names the differences.
    """
    differing = estimator.space.differences(space)
    if differing:
        raise ValueError(
            f"model: expected one that was trained with the priors of this run, got one with other "
            f"{'; '.join(differing)}; train a model with these priors, or leave model= out"
        )


def observed_by(
    estimator: Estimator,
    forward: ForwardModel | None,
    x_obs: ArrayLike | None = None,
    x_err: ArrayLike | None = None,
    mask: ArrayLike | None = None,
) -> Observation:
    """Data for the model: those given, or those of the likelihood if it is recognised.

    Raises
    ------
    ValueError
        If there are no data.
    """
    data_format = estimator.data_format
    alike = forward is not None and forward.shape == data_format.channel_shape
    if x_obs is None:
        if forward is None or not alike:
            found = "it is not recognised" if forward is None else f"it has data of shape {forward.shape}"
            raise ValueError(
                f"model: expected data of shape {estimator.data_shape} from the likelihood, but {found}; "
                "pass them as x_obs=, with x_err= and x_mask= if the model was trained with these"
            )
        x_obs = data_format.as_data(forward.observed[None])[0]
        if data_format.has_mask and mask is None:
            # The data of a likelihood are complete.
            mask = np.ones(1, dtype=bool)
    if x_err is None and data_format.has_uncertainty and forward is not None and alike:
        errors, shape = forward.uncertainty, (1, *data_format.channel_shape)
        x_err = None if errors is None else data_format.as_errors(errors.reshape(shape))[0]
    return Observation(x_obs, x_err, mask)


def start_at(estimator: Estimator, observed: Observation, forward: ForwardModel | None) -> Start:
    """Make the first proposal of a run from the model at the observed data and a share of the prior.

    If the model gets the data of the likelihood, simulations of the likelihood test it.

    Raises
    ------
    ValueError
        If the shape of the data differs from that of the training.

    References
    ----------
    Hesterberg (1995), Technometrics 37, 185 (defensive mixtures).
    """
    observation = estimator.observation(*observed)
    if len(observation.x) != 1:
        raise ValueError(
            f"x_obs: expected the data of one target, of shape {estimator.data_shape}, got "
            f"{np.shape(observed.x)}"
        )
    members = (estimator.proposals(observation)[0], PriorProposal(estimator.space.n_dim))
    proposal = MixtureProposal(members, np.array([1.0 - MODEL_START.prior_share, MODEL_START.prior_share]))
    check = None
    seen = np.ravel(estimator.data_format.as_channels(as_numbers(observed.x, "x_obs")[None]))
    if forward is not None and np.array_equal(forward.observed, seen):
        check = ModelCheck(estimator, observation, forward)
    return Start(proposal, float(estimator.p_value(observation)[0]), digest_of(estimator), check)


def digest_of(estimator: Estimator) -> str:
    """Digest of a trained model, from the state of its networks and from its scales."""
    if estimator not in _digests:
        _digests[estimator] = _made_digest(estimator)
    return _digests[estimator]


def _made_digest(estimator: Estimator) -> str:
    packer = Packer(KINDS)
    packed = packer.pack((estimator.data_format, estimator.flow, estimator.affine))
    for name, tensor in estimator.featurizer.state_dict().items():
        packer.pack(tensor, f"featurizer.{name}")
    content = hashlib.sha256(json.dumps([packed, packer.objects]).encode())
    for name, array in sorted(packer.arrays.items()):
        content.update(name.encode() + array.tobytes())
    return content.hexdigest()[:16]


def _read(path: Path, priors: PriorDict) -> Estimator:
    if not path.is_file():
        raise ValueError(
            f"model: expected a trained NBI or the path of a saved one, got no file {str(path)!r}"
        )
    try:
        try:
            return load_estimator(path)
        except NotPortable:
            return load_estimator(path, priors=priors)
    except ArchiveError as error:
        raise ValueError(f"model: expected a file of NBI.save, got {str(path)!r}: {error}") from error


@dataclass(frozen=True)
class ModelCheck:
    r"""Test of a model by simulations of the likelihood.

    For data x simulated at a parameter set theta, the true posterior has

    .. math:: \mathrm{E}_{x | \theta}\left[p(\theta) / p(\theta | x)\right] = 1

    at every theta. By Markov's inequality, the posterior density at the truth is below a share s of the prior
    density with a probability of at most s. A model with more such cases has a different posterior.

    Attributes
    ----------
    estimator : Estimator
    observed : Observation
        The observed data, whose uncertainties and mask apply to the simulations.
    forward : ForwardModel
        Forward model of the likelihood. The model takes its data.
    """

    estimator: Estimator
    observed: Observation
    forward: ForwardModel

    def __call__(self, draws: Draws, rng: np.random.Generator) -> bool:
        """Return whether the model can be trusted.

        Parameters
        ----------
        draws : Draws
            A batch with predictions. It counts draws at which their proposal is thinner than the prior. At
            other draws the model may be right, although it misses other regions.
        rng : numpy.random.Generator
            Generator of the noise.
        """
        evaluation = draws.evaluation
        assert evaluation.predictions is not None
        rows = np.flatnonzero((draws.log_ratio < 0.0) & np.isfinite(evaluation.predictions).all(1))
        rows = rows[: MODEL_START.most_simulations]
        if len(rows) < MODEL_START.fewest_surprises:
            return True
        estimator, theta = self.estimator, evaluation.theta[rows]
        columns = {name: torch.as_tensor(each) for name, each in estimator.space.columns(theta).items()}
        predictions = torch.as_tensor(evaluation.predictions[rows])
        data = self.forward.noise(predictions, columns, torch_generator(rng)).numpy()
        x_err = self.observed.x_err
        simulated = Observation(
            np.where(self.observed.mask[:, None], data.reshape(len(rows), *self.observed.x.shape[1:]), 0.0),
            None if x_err is None else np.repeat(x_err, len(rows), axis=0),
            np.repeat(self.observed.mask, len(rows), axis=0),
        )
        surprises = estimator.log_ratio(theta, simulated) < math.log(MODEL_START.surprising)
        few = surprises.sum() < MODEL_START.fewest_surprises
        return bool(few or surprises.mean() <= MODEL_START.most_surprises)
