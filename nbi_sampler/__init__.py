"""Sequential neural posterior estimation with importance sampling, as a sampler for bilby.

Importing the package changes no global state. bilby finds the sampler by its entry point, `sampler="nbi"`.

References
----------
Zhang, Bloom & Hernitschek 2023, arXiv:2312.03824
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbi_sampler.core.former_names import keep_former_names

if TYPE_CHECKING:
    from nbi_sampler.amortised.engine import NBI
    from nbi_sampler.reports.html import report
    from nbi_sampler.sampler.evidence import evidence_of
    from nbi_sampler.sampler.survey import Survey, infer_many

__all__ = ["NBI", "Survey", "__version__", "evidence_of", "infer_many", "report"]

__version__ = "0.2.0"

# These are imported on first use, so that importing the package stays fast.
_MODULES = {
    "NBI": "nbi_sampler.amortised.engine",
    "Survey": "nbi_sampler.sampler.survey",
    "evidence_of": "nbi_sampler.sampler.evidence",
    "infer_many": "nbi_sampler.sampler.survey",
    "report": "nbi_sampler.reports.html",
}

# Each former name with the modules that now hold its contents. The first one that has an attribute gives it.
_FORMER = {
    "amortised.noise_laws": ("amortised.noise",),
    "amortised.unreliable": ("amortised.inference",),
    "colours": ("reports.plots.style",),
    "config": ("core.config",),
    "diagnostics": ("reports.diagnostics", "amortised.out_of_distribution"),
    "diagnostics.page": ("reports.diagnostics.page",),
    "engine": ("amortised.engine",),
    "featurizers": ("networks.featurizers",),
    "featurizers.base": ("networks.featurizers.base",),
    "flows": ("networks.flows",),
    "flows.base": ("networks.flows.base",),
    "persistence": ("storage",),
    "persistence.draws_file": ("storage.checkpoint",),
    "plots": ("reports.plots",),
    "plugins.events": ("reports.events",),
    "proposals": ("algorithm.proposals",),
    "proposals.proposal": ("algorithm.proposals.proposal",),
    "reporting": ("reports",),
    "reporting.meta_data": ("reports.meta_data",),
    "reporting.status": ("importance.reliability",),
    "settings": ("sampler.keywords",),
    "settings.devices": ("networks.devices",),
    "statistics": ("importance",),
    "statistics.importance": ("importance.weights",),
    "statistics.pareto": ("importance.pareto",),
    "survey": ("sampler.survey",),
    "training": ("networks.training",),
    "training.fit": ("networks.training.fit",),
    "training.losses": ("networks.training.losses",),
    "training.noisy_data": ("networks.training.noisy_data",),
    "training.objectives": ("networks.training.objectives",),
}


def __getattr__(name: str) -> Any:
    """Import a public name from its module on first use."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}{_hint(name)}")
    import importlib

    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    """List only the public names; modules are reached by importing them."""
    return sorted(__all__)


def _hint(name: str) -> str:
    """Name the public attribute whose spelling is closest, if there is one."""
    import difflib

    spelled = {each.lower().replace("_", ""): each for each in _MODULES}
    near = difflib.get_close_matches(name.lower().replace("_", ""), spelled, n=1)
    return f"; did you mean {spelled[near[0]]!r}?" if near else ""


keep_former_names(__name__, _FORMER)
