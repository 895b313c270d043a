"""Settings of the calls of the user's code."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["EVALUATION", "EvaluationConfig"]


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """Rules for the calls of a draw, for batches of draws, and for impossible values."""

    n_probes: int = 6
    """Draws from the prior at which single and batched calls are compared. They are less than 0.1 % of the
    calls of linear (7,794, seed 1). Every later batch compares one more draw (`Calls`)."""
    tried_per_probe: int = 8
    """Draws that are made for each of these, because constraints exclude some. If they hold in 30 (20) % of
    the prior, 48 draws give all six in 99.9 (93.8) % of cases; in 10 %, they give at least one in 99.4 %."""
    tolerance: float = 1e-8
    """Largest relative difference of the two. Five problems have the same digits in batches, and products
    of matrices with 300 data and 15 parameters differ by at most 1.5e-15."""
    single_precision: float = 1e-5
    """The same if every value fits single precision, which is jax's default. Its rounding is 6e-8."""
    rows_at_once: int = 200
    """Draws in one call. The number is fixed, so the rounding does not depend on how a batch is cut, and
    compilers see one shape. The model of the spectrum problem takes 7 times less time by ``jax.vmap`` than
    draw by draw."""
    in_cache: int = 2**15
    """Numbers in an array of one call of numpy. Such arrays stay in a processor's cache. The spectrum with
    1,000 points takes 21 us a draw; it takes 23 us with 200 draws at once, and 49 us with 4,000."""
    wide_vectors: int = 512
    """Width in bits of the vectors for which jax compiles on a CPU. It halves the time for the spectrum.
    Processors without such vectors are not affected."""
    impossible: float = -1e100
    """A log-likelihood up to this value counts as minus infinity, for example the -1.8e308 of
    ``np.nan_to_num``. No difference from such a number has a significant digit."""


EVALUATION = EvaluationConfig()
