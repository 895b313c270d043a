"""Conditional densities p(z | features), chosen by name, by configuration or as a user's module.

The names are those of the package and of plugins (`hookspecs.flows`).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

from torch import nn

from nbi_sampler.core.config import EnsembleConfig, GmmConfig, MafConfig, NsfConfig, build
from nbi_sampler.networks.flows.base import Density
from nbi_sampler.networks.flows.ensemble import EnsembleFlow
from nbi_sampler.networks.flows.maf import MaskedAutoregressiveFlow
from nbi_sampler.networks.flows.third_party import (
    ModuleFlow,
    ZukoFlow,
    mixture_density_network,
    neural_spline_flow,
)
from nbi_sampler.plugins import Registry

__all__ = [
    "FLOWS",
    "Density",
    "EnsembleFlow",
    "FlowKind",
    "MaskedAutoregressiveFlow",
    "ModuleFlow",
    "ZukoFlow",
    "flow_factory",
    "refinement_flows",
]

FlowFactory = Callable[[int, int], Density]
# The default flow.
DEFAULT = "maf"


class FlowKind(NamedTuple):
    """A flow with a name: its settings and ``make(n_dims, n_context, settings)``."""

    settings: type[Any]
    make: Callable[..., Density]


def _ensemble(n_dims: int, n_context: int, config: EnsembleConfig) -> EnsembleFlow:
    """Flows of the members, whose features add up to those given."""
    config.require_members()
    sizes = [int(member.get("n_context", 0)) for member in config.members]
    if sum(sizes) != n_context:
        raise ValueError(f"flow: the members take {sum(sizes)} features, there are {n_context}")
    settings = [
        {key: each for key, each in member.items() if key != "n_context"} for member in config.members
    ]
    members = [flow_factory(each)(n_dims, size) for each, size in zip(settings, sizes, strict=True)]
    return EnsembleFlow(members, sizes)


_OWN = {
    "maf": FlowKind(MafConfig, MaskedAutoregressiveFlow),
    "nsf": FlowKind(NsfConfig, neural_spline_flow),
    "mdn": FlowKind(GmmConfig, mixture_density_network),
    "ensemble": FlowKind(EnsembleConfig, _ensemble),
}
FLOWS = Registry("flows", "flow", FlowKind, _OWN)


def flow_factory(flow: str | Mapping[str, Any] | nn.Module) -> FlowFactory:
    """Factory of flows of a given size, ``(n_dims, n_context) -> Density``.

    Parameters
    ----------
    flow : str, dict or nn.Module
        A name (``"maf"``, ``"nsf"``, ``"mdn"``); a dictionary of settings, with ``"type"`` for the name
        (``"maf"`` if absent) and optionally ``"n_dims"``, which must be the number of parameters; or a module
        with ``log_prob`` and ``sample``, which is copied for the training of every round.

    Raises
    ------
    ValueError, TypeError
        For an unknown name or setting, or another type of argument.
    """
    if isinstance(flow, nn.Module):
        original = ModuleFlow(flow)
        return lambda n_dims, n_context: copy.deepcopy(original)
    if isinstance(flow, str):
        flow = {"type": flow}
    if not isinstance(flow, Mapping):
        raise TypeError(
            f"flow: expected a name, a dictionary or an nn.Module, got {type(flow).__name__}; "
            f"names: {', '.join(sorted(FLOWS.offers()))}"
        )
    settings = dict(flow)
    name = settings.pop("type", DEFAULT)
    expected_dims = settings.pop("n_dims", None)
    kind = FLOWS.named(name)
    config: Any = build(kind.settings, settings, "flow")

    def make(n_dims: int, n_context: int) -> Density:
        if expected_dims not in (None, n_dims):
            raise ValueError(
                f"flow: n_dims={expected_dims}, but the priors have {n_dims} free parameters; leave it out"
            )
        flow = kind.make(n_dims, n_context, config)
        flow.recipe = {"type": name, "n_dims": n_dims, "n_context": n_context, **asdict(config)}
        return flow

    return make


def refinement_flows(flow: object) -> tuple[FlowFactory, ...]:
    """Factories of unconditional flows, which the refinements use in turn.

    Parameters
    ----------
    flow : str, dict or torch.nn.Module
        As for the keyword ``flow``. A named flow is used itself. A module has a condition, so the default
        flows with one and two layers replace it.
    """
    if isinstance(flow, Mapping) or (isinstance(flow, str) and flow != DEFAULT):
        return (flow_factory(flow),)
    return tuple(flow_factory({"type": DEFAULT, "num_blocks": n_blocks}) for n_blocks in (1, 2))
