"""The hard shapes by name and size: `hard_shape("funnel10")` has ten dimensions."""

from __future__ import annotations

from collections.abc import Callable
from string import digits

from nbi_sampler_benchmark.problems.hard_shapes.curved import banana, funnel, ring, shells
from nbi_sampler_benchmark.problems.hard_shapes.cut import edges, plateau, step, switches
from nbi_sampler_benchmark.problems.hard_shapes.shape import Shape
from nbi_sampler_benchmark.problems.hard_shapes.straight import correlated, flat, log_gamma, student

__all__ = ["HARD_SHAPES", "hard_shape"]

# A family, and its smallest number of dimensions.
_FAMILIES: dict[str, tuple[Callable[[int], Shape], int]] = {
    "funnel": (funnel, 2),
    "banana": (banana, 2),
    "shells": (shells, 2),
    "loggamma": (log_gamma, 2),
    "switches": (switches, 1),
    "student": (student, 1),
    "ring": (ring, 2),
    "edges": (edges, 3),
    "plateau": (plateau, 1),
    "step": (step, 1),
    "correlated": (correlated, 2),
    "flat": (flat, 2),
}

HARD_SHAPES: dict[str, str] = {
    "funnel10": "Neal's funnel",
    "banana8": "twisted ridge (banana)",
    "shells10": "two Gaussian shells",
    "loggamma20": "log-gamma mixtures",
    "switches1": "slab and spike, one switch",
    "switches3": "slab and spike, three",
    "switches6": "slab and spike, six",
    "student8": "Student-t tails",
    "ring6": "ring of periodic parameters",
    "edges5": "three edges of the prior",
    "plateau4": "plateau with 1e-4 of the prior",
    "step4": "the same without a slope",
    "correlated20": "correlation of 0.999",
    "flat5": "flat direction",
}


def hard_shape(name: str) -> Shape | None:
    """Likelihood, priors and evidence of a shape; equal names give equal problems.

    Parameters
    ----------
    name : str
        One of `HARD_SHAPES`, or one of these with another number of dimensions, such as ``"funnel2"``.

    Returns
    -------
    Shape
        None for another name.
    """
    family = name.rstrip(digits)
    size = name[len(family) :]
    if family not in _FAMILIES or not size:
        return None
    make, fewest = _FAMILIES[family]
    return make(int(size)) if int(size) >= fewest else None
