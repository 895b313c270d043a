"""The part of scikit-learn's interface that an engine has: parameters, cloning and scoring.

Its routing of metadata is left out: an engine takes uncertainties and masks as arguments of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from sklearn.base import BaseEstimator

__all__ = ["EngineBase"]

_METADATA = re.compile(r"set_\w+_request|get_metadata_routing")


class EngineBase(BaseEstimator):
    """An estimator of scikit-learn without methods for routing metadata.

    Subclasses have no ``set_fit_request`` and its kin. scikit-learn itself calls ``get_metadata_routing``, so
    that one stays and is only left out of `dir`.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in [name for name in vars(cls) if _METADATA.fullmatch(name)]:
            delattr(cls, name)

    def __dir__(self) -> Iterable[str]:
        return [name for name in super().__dir__() if not _METADATA.fullmatch(name)]
