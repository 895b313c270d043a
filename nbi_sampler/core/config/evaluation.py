"""Calls of the user's code."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["EVALUATION", "EvaluationConfig"]


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """Calls that a draw needs, how many draws share one, and values that count as impossible."""

    n_probes: int = 6
    """Draws of the prior at which single calls and calls for many are compared. Not measured: a few, because
    each costs calls; later batches are compared at a draw each (`Calls`)."""
    tolerance: float = 1e-8
    """Relative difference up to which the two agree, above the rounding of another order. Not measured."""
    single_precision: float = 1e-5
    """The same where every value fits single precision, as from jax by default, whose rounding is 6e-8."""
    rows_at_once: int = 200
    """Draws of one call: fixed, so that rounding is the same however a batch is cut, and compilers see one
    shape. The model of the spectrum problem takes 7 times less time by ``jax.vmap`` than draw by draw."""
    in_cache: int = 2**15
    """Numbers in an array of one call of numpy, so that what it keeps stays in a processor's cache: for the
    spectrum, of 1,000 points, 21 us a draw; 23 us with 200 draws at once, 49 us with 4,000."""
    wide_vectors: int = 512
    """Bits of the vectors that jax compiles for on a CPU: half the time for the spectrum; processors without
    such vectors are not affected."""
    impossible: float = -1e100
    """A log-likelihood up to it is minus infinity by another name, such as the -1.8e308 of ``np.nan_to_num``:
    no difference from such a number has a digit left."""


EVALUATION = EvaluationConfig()
