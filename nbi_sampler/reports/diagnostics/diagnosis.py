"""The verdict on a trained engine: every test with its p-value, corrected for their number, and in words."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from nbi_sampler.core.config import CALIBRATION, OOD_THRESHOLD
from nbi_sampler.core.types import Array
from nbi_sampler.reports.diagnostics.assessment import Assessment
from nbi_sampler.reports.diagnostics.diagnosis_page import rendered
from nbi_sampler.reports.diagnostics.local import LocalCalibration
from nbi_sampler.reports.diagnostics.ranks import exceedance
from nbi_sampler.reports.diagnostics.words import problems_of
from nbi_sampler.reports.html.offline import framed, written
from nbi_sampler.reports.model_fit import ModelFit

__all__ = ["Diagnosis", "ObservationCheck", "PanelTest", "holm"]

CALIBRATED, LOCAL, UNLIKE, PREDICTED = "calibration", "local calibration", "out of distribution", "predictive"


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values that hold for all tests of a family together, by Holm's method.

    References
    ----------
    Holm (1979), Scandinavian Journal of Statistics 6, 65.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.5])
    [0.03, 0.08, 0.5]
    """
    order = np.argsort(p_values)
    stepped = np.asarray(p_values)[order] * np.arange(len(order), 0, -1)
    adjusted = np.empty(len(order))
    adjusted[order] = np.minimum(np.maximum.accumulate(stepped), 1.0)
    return [float(value) for value in adjusted]


@dataclass(frozen=True)
class PanelTest:
    """One test of the table.

    Attributes
    ----------
    panel : str
        Family of tests among which the adjusted p-value is corrected for their number.
    name : str
    p_value, adjusted : float
    alarming : bool
    """

    panel: str
    name: str
    p_value: float
    adjusted: float
    alarming: bool


@dataclass(frozen=True)
class ObservationCheck:
    """Checks of one observation.

    Attributes
    ----------
    local : LocalCalibration
    fit : ModelFit or None
        Posterior predictive check; None where errors or simulator are not known.
    efficiency : float
        Of importance weights; NaN without a likelihood.
    ess : float
        Effective samples of `DIAGNOSIS.n_posterior` draws.
    weighted : bool
        True where the fit is that of the weighted posterior, False where it is that of the network alone.
    """

    local: LocalCalibration
    fit: ModelFit | None = None
    efficiency: float = np.nan
    ess: float = np.nan
    weighted: bool = False


@dataclass(frozen=True)
class Diagnosis:
    """All that simulations and observations say about a trained engine.

    Attributes
    ----------
    assessment : Assessment
        Ranks of the true parameters of simulations: calibration, TARP and highest-density regions.
    scores : ndarray, shape (n_sims,)
        Distances of these simulations from those of the training.
    observed_scores : ndarray, shape (n_observations,)
    checks : tuple of ObservationCheck
        Of the first observations.
    about : mapping of str to str
        Engine and versions, for the page.
    """

    assessment: Assessment
    scores: Array
    observed_scores: Array
    checks: tuple[ObservationCheck, ...] = ()
    about: Mapping[str, str] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Parameters."""
        return self.assessment.names

    @property
    def ood_p_values(self) -> Array:
        """Probabilities that a simulation is as unlike the others as each observation, (n_observations,)."""
        return exceedance(self.observed_scores, np.sort(self.scores))

    @property
    def tests(self) -> tuple[PanelTest, ...]:
        """Every test, by panel."""
        return (*_calibration_tests(self.assessment), *self._local_tests(), *self._ood_tests(), *self._fits())

    @property
    def problems(self) -> tuple[str, ...]:
        """Findings against the engine or the model, in words, each with a remedy; empty where all is well."""
        return problems_of(self)

    @property
    def passed(self) -> bool:
        """True where no test is alarming."""
        return not any(test.alarming for test in self.tests)

    @property
    def table(self) -> Any:
        """The tests as a `pandas.DataFrame`."""
        import pandas as pd

        return pd.DataFrame([vars(test) for test in self.tests])

    @property
    def html(self) -> str:
        """The page, which needs no network and no other file."""
        return rendered(self)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the page.

        Parameters
        ----------
        path : str or os.PathLike
            Its file, whose folder is made where missing; a file that is there is replaced.

        Raises
        ------
        OSError
            Where it cannot be written.
        """
        return written(self.html, path)

    def __repr__(self) -> str:
        n_sims, n_alarming = len(self.scores), sum(test.alarming for test in self.tests)
        what = "passed" if self.passed else f"{n_alarming} alarming"
        head = f"Diagnosis: {len(self.tests)} tests, {what} ({n_sims:,} simulations)"
        return "\n".join([head, *(f"  {problem}" for problem in self.problems)])

    def _repr_html_(self) -> str:
        return framed(self.html, "Diagnosis")

    def _local_tests(self) -> list[PanelTest]:
        p_values = [check.local.p_value for check in self.checks]
        return _family(LOCAL, [f"observation {i}" for i in range(len(p_values))], p_values)

    def _ood_tests(self) -> list[PanelTest]:
        p_values = self.ood_p_values
        n_small = int((p_values < OOD_THRESHOLD).sum())
        # Of many observations some have a small p-value, and with few simulations none has a tiny one: those
        # are named that are too rare by themselves, or of which there are more than chance allows.
        chance = float(stats.binom.sf(n_small - 1, len(p_values), OOD_THRESHOLD)) if n_small else 1.0
        many = chance <= OOD_THRESHOLD
        adjusted = holm(p_values.tolist())
        return [
            PanelTest(
                UNLIKE,
                f"observation {i}",
                float(p),
                q,
                bool(p < OOD_THRESHOLD and (many or q < OOD_THRESHOLD)),
            )
            for i, (p, q) in enumerate(zip(p_values, adjusted, strict=True))
        ]

    def _fits(self) -> list[PanelTest]:
        judged = [(i, check.fit) for i, check in enumerate(self.checks) if check.fit is not None]
        p_values = [min(1.0, len(fit.p_values) * min(fit.p_values.values())) for _, fit in judged]
        return [
            PanelTest(PREDICTED, f"observation {i}", p, q, bool(fit.against))
            for (i, fit), p, q in zip(judged, p_values, holm(p_values), strict=True)
        ]


def _calibration_tests(assessment: Assessment) -> list[PanelTest]:
    p_values = assessment.p_values
    return _family(CALIBRATED, list(p_values), list(p_values.values()))


def _family(panel: str, names: Sequence[str], p_values: Sequence[float]) -> list[PanelTest]:
    adjusted = holm(p_values)
    return [
        PanelTest(panel, name, float(p), q, q < CALIBRATION.alarming)
        for name, p, q in zip(names, p_values, adjusted, strict=True)
    ]
