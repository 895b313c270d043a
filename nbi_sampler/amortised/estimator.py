"""The posterior of any target: data in, a distribution over z out. Knows nothing of simulators.

What training leaves behind and a file holds. Called by the engine, and by the sampler when it starts from a
trained model.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp
from torch import Tensor

from nbi_sampler.algorithm.proposals.affine import AffineMap
from nbi_sampler.algorithm.proposals.proposal import FlowProposal
from nbi_sampler.amortised.data_format import DataLayout, Targets
from nbi_sampler.amortised.out_of_distribution import DataSummary, Familiarity
from nbi_sampler.forward.arrays import as_real_numbers
from nbi_sampler.networks.featurizers import Featurizer
from nbi_sampler.networks.flows import Density
from nbi_sampler.priors.space import ParameterSpace

__all__ = ["Estimator"]

Array = NDArray[np.float64]

ROWS_AT_ONCE = 1000
# Points at which the density is averaged over the range of a discrete value.
N_WITHIN_STEP = 16


class Estimator:
    """A conditional posterior, trained; queries leave it as it is.

    Parameters
    ----------
    space : ParameterSpace
    layout : DataLayout
    featurizer : Featurizer
        Fitted.
    flow : Density
    affine : AffineMap
        From the coordinates of the flow to z.
    summary : DataSummary
    familiarity : Familiarity
        Of the summaries of simulations.

    Attributes
    ----------
    names : tuple of str
        Parameters.
    data_shape : tuple of int
        Of the data of one target.
    """

    def __init__(
        self,
        space: ParameterSpace,
        layout: DataLayout,
        featurizer: Featurizer,
        flow: Density,
        affine: AffineMap,
        summary: DataSummary,
        familiarity: Familiarity,
    ) -> None:
        self.space = space
        self.layout = layout
        self.featurizer = featurizer
        self.flow = flow
        self.affine = affine
        self.summary = summary
        self.familiarity = familiarity
        self.names = space.names
        self.data_shape = layout.data_shape

    def targets(
        self, x_obs: ArrayLike, x_err: ArrayLike | None = None, mask: ArrayLike | None = None
    ) -> Targets:
        """Data of one target, of shape ``data_shape``, or of several, checked; see `DataLayout.targets`."""
        return self.layout.targets(*self.layout.several(x_obs, x_err, mask))

    def seen(
        self, x_obs: ArrayLike, x_err: ArrayLike | None = None, mask: ArrayLike | None = None
    ) -> tuple[NDArray[Any], Array | None, NDArray[np.bool_] | None]:
        """Data as of several targets, less the uncertainties where networks were trained without."""
        return self.layout.several(x_obs, x_err if self.layout.has_uncertainty else None, mask)

    def proposals(
        self, x_obs: ArrayLike, x_err: ArrayLike | None = None, mask: ArrayLike | None = None
    ) -> list[FlowProposal]:
        """The posterior of every target as a distribution over z.

        Parameters
        ----------
        x_obs : array_like, shape ``data_shape`` or (n_targets, *data_shape)
        x_err : array_like, optional
            Uncertainties of the values; see `DataLayout.targets` for what broadcasts.
        mask : array_like of bool, optional
            True where a point is present.

        Raises
        ------
        ValueError
            For data of another shape than those of the simulations, or other ones.
        """
        features = self.features(self.targets(x_obs, x_err, mask))
        uncut = np.zeros(self.space.n_dim)
        return [FlowProposal(self.flow, row[None], self.affine, uncut) for row in features]

    def proposal(
        self, x_obs: ArrayLike, x_err: ArrayLike | None = None, mask: ArrayLike | None = None
    ) -> FlowProposal:
        """The posterior of one target; see `proposals`."""
        if not self.layout.is_single(x_obs):
            raise ValueError(
                f"x_obs: expected the data of one target, of shape {self.data_shape}, got {np.shape(x_obs)}"
            )
        return self.proposals(x_obs, x_err, mask)[0]

    def p_value(
        self, x_obs: ArrayLike, x_err: ArrayLike | None = None, mask: ArrayLike | None = None
    ) -> Array:
        """Chance that a simulation is as unlike the others as these data are, shape (n_targets,)."""
        return self.familiarity.p_value(self.summary(self.layout, self.targets(x_obs, x_err, mask)))

    @torch.no_grad()
    def features(self, targets: Targets) -> Tensor:
        """Features of several targets, shape (n_targets, n_features)."""
        device = next(self.flow.parameters(), torch.zeros(1)).device
        data = torch.as_tensor(self.layout.encode(targets)).flatten(1)
        parts = (part.to(device) for part in data.split(ROWS_AT_ONCE))
        return torch.cat([self.featurizer(self.featurizer.reduce(part)) for part in parts])

    @torch.no_grad()
    def log_ratio(self, theta: ArrayLike, targets: Targets) -> Array:
        """``log q(theta | x) - log prior(theta)`` of one parameter set a target.

        Parameters
        ----------
        theta : array_like, shape (n_targets, n_dim)
        targets : Targets

        Returns
        -------
        ndarray, shape (n_targets,)
        """
        theta = as_real_numbers(theta, "theta")
        z, rng = self.space.to_z(theta), np.random.default_rng(0)
        uncut, features = np.zeros(self.space.n_dim), self.features(targets)
        proposals = [
            (slice(start, start + ROWS_AT_ONCE), FlowProposal(self.flow, part, self.affine, uncut))
            for start, part in zip(range(0, len(z), ROWS_AT_ONCE), features.split(ROWS_AT_ONCE), strict=True)
        ]
        # A discrete value is a range of z, over which the density is averaged.
        others = [self.space.to_z(theta, rng) for _ in range(N_WITHIN_STEP)]
        points = others if not np.array_equal(others[0], z) else [z]
        values = [
            np.concatenate([proposal.log_ratio(each[rows]) for rows, proposal in proposals])
            for each in points
        ]
        return np.asarray(logsumexp(values, axis=0) - np.log(len(values)))
