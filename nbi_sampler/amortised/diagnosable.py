"""The method of an engine that tests it: arguments as users give them, to a diagnosis and its page."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path

from numpy.typing import ArrayLike

from nbi_sampler.amortised.data_format import one_mask
from nbi_sampler.amortised.diagnosing import Targets, diagnose
from nbi_sampler.amortised.estimator import Estimator
from nbi_sampler.amortised.setup import Setup
from nbi_sampler.core.config import DIAGNOSIS
from nbi_sampler.core.config.building import require_count
from nbi_sampler.core.guarded import in_own_settings
from nbi_sampler.reports.diagnostics.diagnosis import Diagnosis

__all__ = ["Diagnosable"]

LogLikelihood = Callable[..., ArrayLike]

# The sampler's, whose lines people see.
logger = logging.getLogger("bilby")


class Diagnosable:
    """An engine that can be tested once it is trained."""

    _setup: Setup

    @abstractmethod
    def _fitted(self) -> Estimator:
        """Estimator of all targets."""

    @in_own_settings
    def diagnose(
        self,
        x_obs: ArrayLike | None = None,
        x_err: ArrayLike | None = None,
        x_mask: ArrayLike | None = None,
        *,
        path: str | Path | None = "diagnosis.html",
        n_sims: int = DIAGNOSIS.n_sims,
        x: ArrayLike | None = None,
        y: ArrayLike | None = None,
        log_likelihood: LogLikelihood | None = None,
        mask: ArrayLike | None = None,
    ) -> Diagnosis:
        """Test the trained networks, and observations, and write one HTML page that needs no other file.

        The page has ranks of true parameters and the coverage of regions over new simulations; calibration
        among the simulations that are most like an observation; the distance of the observation from the
        simulations; and a posterior predictive check. Every panel has a sentence, and what is wrong is named
        with its remedy.

        Parameters
        ----------
        x_obs, x_err, x_mask, mask : array_like, optional
            Observations; see `infer`. Without them the networks alone are tested.
        path : str or pathlib.Path, optional
            File of the page, which is replaced; None to write none.
        n_sims : int
            New simulations, from priors, simulator and noise.
        x, y : array_like, optional
            Instead of these: simulations with noise that the networks have not seen, shape (n, *data_shape),
            and their parameters, shape (n, n_dim). ``x`` may be a tuple of data, uncertainties and mask.
        log_likelihood : callable, optional
            Of the weights; see `infer`. Without one errors are Gaussian, where they are known.

        Returns
        -------
        Diagnosis
            With the numbers: ``tests``, ``table``, ``problems`` and ``passed``. A notebook shows its page.

        Raises
        ------
        NotFittedError
            Before `fit`.
        TypeError, ValueError
            For data that cannot be used, or without simulator or simulations.

        Notes
        -----
        P-values are corrected for the number of tests in their panel (Holm). Each panel calls one right
        engine in a hundred alarming. One of many observations can only be named as out of distribution if
        there are a hundred simulations for each of them.

        References
        ----------
        Talts et al. (2018), arXiv:1804.06788, for ranks; Lemos et al. (2023), arXiv:2302.03026, and Hermans
        et al. (2022), arXiv:2110.06581, for coverage; Linhart et al. (2023), arXiv:2306.03580, for the local
        test.
        """
        require_count("n_sims", n_sims)
        if (x is None) != (y is None):
            raise ValueError("x, y: expected both or none; y are the parameters of the simulations x")
        if x_obs is None and (x_err is not None or x_mask is not None or mask is not None):
            raise ValueError("x_obs: expected observations, as x_err or x_mask are given, got None")
        estimator, setup = self._fitted(), self._setup
        if x is None:
            targets = Targets.simulated(estimator, setup, n_sims)
        else:
            parts = x if isinstance(x, tuple) else (x,)
            targets = Targets.given(estimator, parts, y)
        observed = (x_obs, x_err, one_mask(x_mask, mask))
        found = diagnose(estimator, setup, targets, *observed, log_likelihood=log_likelihood)
        if path is not None:
            logger.info("%s: %s", found.save(path), "passed" if found.passed else "alarming")
        return found
