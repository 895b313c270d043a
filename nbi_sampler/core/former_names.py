"""Former names of public modules and classes, so that old scripts which import them still work.

The modules are listed in ``nbi_sampler/__init__.py``, which stands above all layers.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from types import ModuleType
from typing import Any

__all__ = ["RENAMED", "keep_former_names"]

# Classes that have a new name.
RENAMED = {
    "DataLayout": "DataFormat",
    "Familiarity": "OutOfDistributionTest",
    "Targets": "Observation",
}


def keep_former_names(package: str, names: Mapping[str, tuple[str, ...]]) -> None:
    """Make the former names in a package importable; their contents are imported on first use.

    Parameters
    ----------
    package : str
    names : mapping of str to tuple of str
        Each former name with the modules that now hold its contents. The first one that has an attribute
        gives it.
    """
    for former, present in names.items():
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
