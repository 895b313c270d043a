"""Former names of public modules, so that old scripts which import them still work."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

__all__ = ["RENAMED", "keep_former_names"]

# Each former name with the modules that now hold its contents. The first one that has an attribute gives it.
FORMER = {
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
# Classes that have a new name.
RENAMED = {
    "DataLayout": "DataFormat",
    "Familiarity": "OutOfDistributionTest",
    "Targets": "Observation",
}


def keep_former_names(package: str) -> None:
    """Make the former names in a package importable; their contents are imported on first use."""
    for former, present in FORMER.items():
        name = f"{package}.{former}"
        module = sys.modules.setdefault(name, _Former(name, tuple(f"{package}.{each}" for each in present)))
        if "." not in former:
            # This is how an import treats a module that it finds in a file.
            setattr(sys.modules[package], former, module)


class _Former(ModuleType):
    """A module whose attributes are those of other modules."""

    def __init__(self, name: str, present: tuple[str, ...]) -> None:
        super().__init__(name, f"Former name of `{present[0]}`.")
        self._present = present

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        for each in self._present:
            module = import_module(each)
            for present in (name, RENAMED.get(name, name)):
                if hasattr(module, present):
                    return getattr(module, present)
        raise AttributeError(f"module {self.__name__!r}, now {self._present[0]!r}, has no attribute {name!r}")
