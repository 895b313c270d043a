"""Unconditional flows for the refinement, from what a user says of the conditional one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from nbi_sampler.networks.flows import flow_factory

__all__ = ["refinement_flows"]

# The flow that is taken where nobody names one.
DEFAULT = "maf"


def refinement_flows(flow: object) -> tuple[Callable[..., Any], ...]:
    """Return factories of flows, which successive refinements take in turn.

    Parameters
    ----------
    flow : str, dict or torch.nn.Module
        As the keyword ``flow`` takes it. Where it is named it serves; a module has a condition, so the usual
        flows of one and two layers take its place.

    Returns
    -------
    tuple of callable
        ``(n_dims, n_context) -> Density``.
    """
    if isinstance(flow, Mapping) or (isinstance(flow, str) and flow != DEFAULT):
        return (flow_factory(flow),)
    return tuple(flow_factory({"type": DEFAULT, "num_blocks": n_blocks}) for n_blocks in (1, 2))
