"""Values that JSON can hold."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

__all__ = ["digest_of", "without_unknown"]


def digest_of(values: Mapping[str, Any]) -> str:
    """Digest of a mapping, whatever the order of its keys: 12 hexadecimal digits.

    Examples
    --------
    >>> digest_of({"seed": 1, "sampler": "nbi"}) == digest_of({"sampler": "nbi", "seed": 1})
    True
    """
    return hashlib.sha256(json.dumps(dict(values), sort_keys=True).encode()).hexdigest()[:12]


def without_unknown(value: Any) -> Any:
    """Replace NaN and infinities, which JSON does not have, by None at any depth."""
    if isinstance(value, dict):
        return {key: without_unknown(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [without_unknown(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
