"""A formula of a bilby prior for a column of values: in one call if a test allows it, otherwise row by row.

bilby's priors, and the condition functions that users write, need not accept arrays. Some raise, and some
return wrong values. A query leaves the prior object unchanged: bilby stores the limits of the last request of
a conditional prior as attributes, and these are restored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np
from bilby.core.prior import Prior

from nbi_sampler.core.config import PRIORS
from nbi_sampler.core.guarded import users_settings

__all__ = ["ColumnFunction", "Conditions", "Formula", "agree", "take_rows", "works_at_once"]

Conditions: TypeAlias = Mapping[str, Any]
Formula: TypeAlias = Callable[[Any, Any, Conditions], Any]


def take_rows(conditions: Conditions, rows: Any) -> dict[str, np.ndarray]:
    """Select rows of required variables; a fixed parameter is a float and has only one."""
    return {
        name: column[rows] if np.ndim(column) else np.atleast_1d(column)
        for name, column in conditions.items()
    }


@contextmanager
def _unchanged(prior: Prior) -> Iterator[None]:
    """Restore the attributes that a query of ``prior`` sets."""
    saved = dict(vars(prior))
    try:
        yield
    finally:
        vars(prior).clear()
        vars(prior).update(saved)


def agree(left: np.ndarray, right: np.ndarray, tolerance: float = PRIORS.at_once) -> bool:
    """Return whether two arrays are equal up to rounding; NaN equals NaN."""
    scale = float(np.max(np.abs(right), initial=0.0, where=np.isfinite(right)))
    return bool(np.allclose(left, right, rtol=tolerance, atol=1e-3 * tolerance * scale, equal_nan=True))


def works_at_once(
    at_once: Callable[[], np.ndarray],
    by_row: np.ndarray,
    same: Callable[[np.ndarray, np.ndarray], bool] = agree,
) -> bool:
    """Return whether one call of the user's code for many points agrees with single calls."""
    try:
        return bool(same(at_once(), by_row))
    # User code may raise any error for arrays. It is then called row by row.
    except Exception:
        return False


class ColumnFunction:
    """A formula of one prior that is applied to a whole column if this agrees with single rows.

    Parameters
    ----------
    prior : bilby.core.prior.Prior
    formula : callable
        ``formula(prior, values, conditions)``.
    values : ndarray, shape (n_probes,)
        Values at which the column is compared with single rows.
    conditions : mapping of str to ndarray, shape (n_probes,), or float
        The required variables of a conditional prior at the probes.

    Raises
    ------
    Exception
        Any exception that the formula raises for a single row.
    """

    def __init__(self, prior: Prior, formula: Formula, values: np.ndarray, conditions: Conditions) -> None:
        self.prior = prior
        self.formula = formula
        self.at_probes = self._by_row(values, conditions)
        self.vectorized = works_at_once(lambda: self._at_once(values, conditions), self.at_probes)

    def __call__(self, values: np.ndarray, conditions: Conditions) -> np.ndarray:
        """Apply the formula to values of shape (n,), under conditions of shape (n,) or one for all rows."""
        return self._at_once(values, conditions) if self.vectorized else self._by_row(values, conditions)

    def _at_once(self, values: np.ndarray, conditions: Conditions) -> np.ndarray:
        # A condition function may write into its arguments, which are columns of theta.
        copies = {name: np.array(column)[()] for name, column in conditions.items()}
        with _unchanged(self.prior), users_settings(), np.errstate(all="ignore"):
            result = np.asarray(self.formula(self.prior, values.copy(), copies), dtype=float)
        if result.shape != values.shape:
            raise ValueError(f"the formula gave shape {result.shape} for values of shape {values.shape}")
        return result

    def _by_row(self, values: np.ndarray, conditions: Conditions) -> np.ndarray:
        result = np.empty(len(values))
        with _unchanged(self.prior), users_settings(), np.errstate(all="ignore"):
            for i, value in enumerate(values):
                row = {name: float(column[0]) for name, column in take_rows(conditions, [i]).items()}
                result[i] = np.asarray(self.formula(self.prior, float(value), row), dtype=float).item()
        return result
