"""Sizes of networks that nobody has chosen, from the size of the data and the number of parameters.

Called by the featurizers whose settings leave a size open.
"""

from __future__ import annotations

import math

__all__ = ["number_of_features", "number_of_stages"]


def number_of_features(n_params: int) -> int:
    """Length of the feature vector: 16 a parameter in multiples of 32, between 64 and 256.

    Examples
    --------
    >>> [number_of_features(n) for n in (1, 4, 5, 10, 50)]
    [64, 64, 96, 160, 256]
    """
    return min(max(32 * math.ceil(n_params / 2), 64), 256)


def number_of_stages(length: int) -> int:
    """Halvings of the length until 2 or 3 steps are left, so that the last ones see the whole of the data.

    Examples
    --------
    >>> [number_of_stages(length) for length in (1, 3, 4, 50, 1000)]
    [0, 0, 1, 4, 8]
    """
    return max(0, length.bit_length() - 2)
