"""Findings about the model and the priors, in addition to the reliability of the draws."""

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
        None if the fit of the model is unknown.
    edges : tuple of Edge
        Edges of priors at which the posterior piles up.
    """

    fit: ModelFit | None = None
    edges: tuple[Edge, ...] = ()

    @property
    def misfit(self) -> str | None:
        """Description of evidence that the model does not fit the data; None if there is none."""
        return None if self.fit is None else self.fit.misfit

    @property
    def sentences(self) -> list[str]:
        """All additional remarks, without full stops."""
        fits = self.fit is not None and self.fit.misfit is None
        said = [self.fit.sentence] if self.fit is not None and fits else []
        return [*said, *filter(None, [self.correlated]), *(edge.sentence for edge in self.edges)]

    @property
    def correlated(self) -> str | None:
        """A warning that the noise is correlated; None if it is not."""
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
    """Examine the draws of a result.

    Parameters
    ----------
    state : State
        Final state of the run.
    forward : ForwardModel, optional
    space : ParameterSpace
        Space of the priors.
    priors : bilby.core.prior.PriorDict
    seed : int
        Evaluator of the run.

    Returns
    -------
    Findings
        Empty if the run has no result.
    """
    if not state.final:
        return Findings()
    z = np.concatenate([draws.z for draws in state.final])
    theta = np.concatenate([draws.evaluation.theta for draws in state.final])
    edges = piled_up_edges(priors, space.names, z, theta, state.final_log_weights)
    return Findings(check_fit(state.final, forward, space, seed), edges)
