"""Random Gaussian mixtures of known evidence: a search for wrong evidences with a healthy status.

They have one to ten dimensions, one to six modes, and widths over three decades; edges of the prior truncate
some. The sampler knows only the likelihood. The modes of a mixture have one width, or, in "uneven" mixtures,
different ones. A narrow mode beside a wide one may then stand out in only a millionth of the prior, and no
sampler that only calls the likelihood can find it.
"""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_letters
from typing import Any

import bilby
import numpy as np
from bilby.core.prior import PriorDict, Uniform
from numpy.typing import NDArray
from scipy.special import logsumexp, ndtr

from nbi_sampler.importance.reliability import Status

__all__ = ["EVEN", "UNEVEN", "GaussianMixture", "contradicted", "mixture_named", "search_table"]

Array = NDArray[np.float64]

EVEN, UNEVEN = "mixture", "uneven"
MOST_DIMENSIONS = 10
MOST_MODES = 6
LOG10_WIDTHS = (-3.5, -0.5)
# Definition of a wrong result, and its largest rate.
WRONG_BEYOND = 4.0
LARGEST_RATE = 1 / 200


class GaussianMixture(bilby.Likelihood):
    r"""Sum of normalised isotropic Gaussians over the unit cube.

    .. math:: L(x) = \sum_k p_k \prod_d N(x_d; c_{kd}, s_k)

    Parameters
    ----------
    masses : ndarray, shape (n_modes,)
        :math:`p_k`, which sum to 1.
    centres : ndarray, shape (n_modes, n_dim)
    widths : ndarray, shape (n_modes,)
        In units of the prior's width.
    """

    def __init__(self, masses: Array, centres: Array, widths: Array) -> None:
        self.names = [f"x{d}" for d in range(centres.shape[1])]
        super().__init__(dict.fromkeys(self.names, 0.5))
        self.masses, self.centres, self.widths = masses, centres, widths
        self._log_peaks = np.log(masses) - centres.shape[1] * np.log(widths * np.sqrt(2.0 * np.pi))

    def log_likelihood(self, parameters: dict[str, float] | None = None) -> float:
        """Log of the sum at one point."""
        given = self.parameters if parameters is None else parameters
        x = np.array([given[name] for name in self.names])
        squares = ((x - self.centres) ** 2).sum(axis=1) / self.widths**2
        return float(logsumexp(self._log_peaks - 0.5 * squares))

    @property
    def log_evidence(self) -> float:
        """Exact sum of the masses of the modes within the cube."""
        above = ndtr((1.0 - self.centres) / self.widths[:, None])
        below = ndtr(-self.centres / self.widths[:, None])
        return float(np.log(self.masses @ np.prod(above - below, axis=1)))


def mixture_named(name: str) -> tuple[GaussianMixture, PriorDict] | None:
    """Likelihood and priors of one random problem; equal names give equal problems.

    Parameters
    ----------
    name : str
        Such as ``"mixture17"``, whose modes have one width, or ``"uneven17"``.

    Returns
    -------
    GaussianMixture, PriorDict
        None for a name of another form.
    """
    kind, number = name.rstrip("0123456789"), name.lstrip(ascii_letters)
    if kind not in (EVEN, UNEVEN) or not number.isdecimal():
        return None
    rng = np.random.default_rng([20231206, int(number)])
    n_dim, n_modes = int(rng.integers(1, MOST_DIMENSIONS + 1)), int(rng.integers(1, MOST_MODES + 1))
    masses = rng.dirichlet(np.full(n_modes, 2.0))
    centres = rng.uniform(size=(n_modes, n_dim))
    log10_widths = rng.uniform(*LOG10_WIDTHS, size=1 if kind == EVEN else n_modes)
    likelihood = GaussianMixture(masses, centres, np.broadcast_to(10.0**log10_widths, n_modes))
    return likelihood, PriorDict({name: Uniform(0.0, 1.0) for name in likelihood.names})


def contradicted(record: dict[str, Any]) -> bool:
    """Return whether a run has status "ok" and an evidence that is wrong by more than four of its errors."""
    return record["status"] == Status.OK and abs(record["pull"]) > WRONG_BEYOND


def search_table(records: Sequence[dict[str, Any]]) -> str:
    """Table of statuses, and of wrong results with status "ok", by number of modes.

    Parameters
    ----------
    records : sequence of dict
        Records of a benchmark file for problems of this module.

    Returns
    -------
    str
        Markdown, followed by the problems with a wrong evidence and status "ok".
    """
    lines = ["| modes | runs | ok | ok and wrong |", "|---|---|---|---|"]
    named = [(record, mixture_named(record["problem"])) for record in records]
    rows = [(record, mixture[0]) for record, mixture in named if mixture is not None]
    for n_modes in range(1, MOST_MODES + 1):
        of_kind = [record for record, likelihood in rows if len(likelihood.masses) == n_modes]
        if of_kind:
            n_ok = sum(record["status"] == Status.OK for record in of_kind)
            lines.append(f"| {n_modes} | {len(of_kind)} | {n_ok} | {sum(map(contradicted, of_kind))} |")
    wrong = [(record, likelihood) for record, likelihood in rows if contradicted(record)]
    lines += [
        "",
        f"Wrong with status ok: {len(wrong)} of {len(rows)} (at most {LARGEST_RATE:.1%} may be).",
    ]
    lines += [_described(record, likelihood) for record, likelihood in wrong]
    return "\n".join(lines)


def _described(record: dict[str, Any], likelihood: GaussianMixture) -> str:
    pairs = zip(likelihood.masses, likelihood.widths, strict=True)
    modes = ", ".join(f"{mass:.2f} of width {width:.1g}" for mass, width in pairs)
    n_dim, error = likelihood.centres.shape[1], record["log_evidence_error"]
    return f"- {record['problem']}: {n_dim}-d, modes of mass {modes}; log Z off by {error:+.3f}"
