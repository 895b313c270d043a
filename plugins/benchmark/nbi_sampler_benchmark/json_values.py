"""Values that JSON can hold."""

from __future__ import annotations

import math
from typing import Any

__all__ = ["without_unknown"]


def without_unknown(value: Any) -> Any:
    """Replace NaN and infinities, which JSON does not have, by None at any depth."""
    if isinstance(value, dict):
        return {key: without_unknown(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [without_unknown(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
