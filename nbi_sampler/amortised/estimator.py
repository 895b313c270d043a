"""The trained posterior of any target, which maps data to a distribution over z.

It is the result of a training and the content of a file. A run of the sampler can start from it. It does not
depend on simulators.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.special import logsumexp
from torch import Tensor

from nbi_sampler.algorithm.proposals.affine import AffineMap
from nbi_sampler.algorithm.proposals.proposal import FlowProposal
from nbi_sampler.amortised.data_format import DataFormat, Observation
from nbi_sampler.amortised.out_of_distribution import DataSummary, OutOfDistributionTest
from nbi_sampler.core.config import INFERENCE
from nbi_sampler.core.types import Array
from nbi_sampler.forward.arrays import as_real_numbers
from nbi_sampler.networks.featurizers import Featurizer
from nbi_sampler.networks.flows import Density
from nbi_sampler.priors.space import ParameterSpace

__all__ = ["Estimator"]

# Targets of which features are computed at once, which bounds memory.
ROWS_AT_ONCE = 1000


class Estimator:
    """A trained conditional posterior, which no query changes.

    Parameters
    ----------
    space : ParameterSpace
    data_format : DataFormat
    featurizer : Featurizer
        Fitted.
    flow : Density
    affine : AffineMap
        From the coordinates of the flow to z.
    summary : DataSummary
    ood_test : OutOfDistributionTest
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
        data_format: DataFormat,
        featurizer: Featurizer,
        flow: Density,
        affine: AffineMap,
        summary: DataSummary,
        ood_test: OutOfDistributionTest,
    ) -> None:
        self.space = space
        self.data_format = data_format
        self.featurizer = featurizer
        self.flow = flow
        self.affine = affine
        self.summary = summary
        self.ood_test = ood_test
        self.names = space.names
        self.data_shape = data_format.data_shape

    def observation(
        self, x_obs: Any, x_err: Any = None, mask: Any = None, *, for_networks: bool = True
    ) -> Observation:
        """Check data of one target, of shape ``data_shape``, or of several; see `DataFormat.observation`."""
        return self.data_format.observation(x_obs, x_err, mask, for_networks=for_networks)

    def proposals(self, observation: Observation) -> list[FlowProposal]:
        """The posterior of every target of a checked observation as a distribution over z."""
        uncut = np.zeros(self.space.n_dim)
        features = self.features(observation)
        return [FlowProposal(self.flow, row[None], self.affine, uncut) for row in features]

    def p_value(self, observation: Observation) -> Array:
        """Share of simulations that are at least as unusual as each target, shape (n_targets,)."""
        return self.ood_test.p_value(self.summary(self.data_format, observation))

    @torch.no_grad()
    def features(self, observation: Observation) -> Tensor:
        """Features of several targets, shape (n_targets, n_features)."""
        device = next(self.flow.parameters(), torch.zeros(1)).device
        data = self.data_format.encode(observation).flatten(1)
        parts = (part.to(device) for part in data.split(ROWS_AT_ONCE))
        return torch.cat([self.featurizer(self.featurizer.reduce(part)) for part in parts])

    @torch.no_grad()
    def log_ratio(self, theta: ArrayLike, observation: Observation) -> Array:
        """``log q(theta | x) - log prior(theta)`` of one parameter set a target, shape (n_targets,).

        Parameters
        ----------
        theta : array_like, shape (n_targets, n_dim)
        observation : Observation
            Checked.
        """
        theta = as_real_numbers(theta, "theta")
        z, rng = self.space.to_z(theta), np.random.default_rng(0)
        uncut, features = np.zeros(self.space.n_dim), self.features(observation)
        proposals = [
            (slice(start, start + ROWS_AT_ONCE), FlowProposal(self.flow, part, self.affine, uncut))
            for start, part in zip(range(0, len(z), ROWS_AT_ONCE), features.split(ROWS_AT_ONCE), strict=True)
        ]
        # A discrete value is a range of z, over which the density is averaged.
        others = [self.space.to_z(theta, rng) for _ in range(INFERENCE.n_within_step)]
        points = others if not np.array_equal(others[0], z) else [z]
        values = [
            np.concatenate([proposal.log_ratio(each[rows]) for rows, proposal in proposals])
            for each in points
        ]
        return np.asarray(logsumexp(values, axis=0) - np.log(len(values)))
