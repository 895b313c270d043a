"""Findings of a result about the model and the priors, beside whether its draws can be trusted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from bilby.core.prior import PriorDict

from nbi_sampler.algorithm.state import State
from nbi_sampler.forward import ForwardModel
from nbi_sampler.priors.space import ParameterSpace
from nbi_sampler.reports.model_fit import ModelFit, check_fit
from nbi_sampler.reports.prior_edges import Edge, piled_up_edges

__all__ = ["Findings", "find"]


@dataclass(frozen=True)
class Findings:
    """Findings in the draws of a result.

    Attributes
    ----------
    fit : ModelFit, optional
        None where the fit of the model is not known.
    edges : tuple of Edge
        Of priors, at which the posterior piles up.
    """

    fit: ModelFit | None = None
    edges: tuple[Edge, ...] = ()

    @property
    def misfit(self) -> str | None:
        """Evidence that the model does not fit the data, in words; None without any."""
        return None if self.fit is None else self.fit.misfit

    @property
    def sentences(self) -> list[str]:
        """All that is to be said besides, each without a full stop."""
        fits = self.fit is not None and self.fit.misfit is None
        said = [self.fit.sentence] if self.fit is not None and fits else []
        return [*said, *filter(None, [self.correlated]), *(edge.sentence for edge in self.edges)]

    @property
    def correlated(self) -> str | None:
        """A warning of noise that is not independent; None without one."""
        return None if self.fit is None else self.fit.correlated

    def as_dict(self) -> dict[str, Any]:
        """Entries of the result's meta data."""
        fit = self.fit
        return {
            "predictive_p_value": None if fit is None else fit.p_value,
            "predictive_p_values": {} if fit is None else dict(fit.p_values),
            "residual_correlation": None if fit is None else fit.correlation,
            "predictive_check": None if fit is None else fit.as_dict(),
            "at_prior_edge": {edge.name: edge.side for edge in self.edges},
        }


def find(
    state: State, forward: ForwardModel | None, space: ParameterSpace, priors: PriorDict, seed: int
) -> Findings:
    """Look at the draws of a result.

    Parameters
    ----------
    state : State
        Of a run that has ended.
    forward : ForwardModel, optional
    space : ParameterSpace
        Of the priors.
    priors : bilby.core.prior.PriorDict
    seed : int
        Of the run.

    Returns
    -------
    Findings
        Empty where the run has no result.
    """
    if not state.final:
        return Findings()
    z = np.concatenate([draws.z for draws in state.final])
    theta = np.concatenate([draws.evaluation.theta for draws in state.final])
    edges = piled_up_edges(priors, space.names, z, theta, state.final_log_weights)
    return Findings(check_fit(state.final, forward, space, seed), edges)
