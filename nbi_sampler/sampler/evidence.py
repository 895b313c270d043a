"""The evidence of a result of any sampler, by importance sampling in a run that starts from its samples."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import bilby
import pandas as pd
from bilby.core.likelihood import Likelihood
from bilby.core.prior import PriorDict
from bilby.core.result import Result

from nbi_sampler.core.config import EVIDENCE
from nbi_sampler.reports.html.source import source_of
from nbi_sampler.sampler.former_table import priors_of

__all__ = ["evidence_of"]


def evidence_of(
    result: str | os.PathLike[str] | Result | pd.DataFrame | dict[str, Any],
    likelihood: Likelihood,
    priors: PriorDict | dict[str, Any] | None = None,
    n_effective: float = EVIDENCE.n_effective,
    **keywords: Any,
) -> Result:
    r"""Evidence and weighted samples from the posterior samples of any sampler, including MCMC.

    A proposal is fitted to the samples, and its draws are weighted with the likelihood. No estimate uses the
    samples themselves, so their errors, correlations and missing tails do not affect it. The error of log Z
    is at most

    .. math:: \sigma_{\log Z} \le n_\mathrm{eff}^{-1/2}

    Parameters
    ----------
    result : str, os.PathLike, bilby.core.result.Result, pandas.DataFrame or dict
        A result or its file (JSON, HDF5 or pickle), or samples by parameter.
    likelihood : bilby.core.likelihood.Likelihood
        The likelihood for the evidence. It may differ from that of the result.
    priors : bilby.core.prior.PriorDict or dict, optional
        The default is the priors of the result.
    n_effective : float
        Required effective sample size.
    **keywords
        Keywords of ``bilby.run_sampler`` and of the sampler: ``outdir``, ``label``, ``seed``, ``npool`` and
        others. By default the folder is that of the result, and the label is that of the result with
        ``_evidence``.

    Returns
    -------
    bilby.core.result.Result
        Has ``log_evidence`` and ``log_evidence_err``. Status, message and k-hat are in ``meta_data["nbi"]``.

    Raises
    ------
    TypeError, ValueError
        For unusable samples, for example of another problem; the message names the difference.

    References
    ----------
    Hesterberg (1995), Technometrics 37, 185; Owen & Zhou (2000), JASA 95, 135.

    Examples
    --------
    >>> import bilby, nbi_sampler
    >>> result = bilby.read_in_result("outdir/transit_result.json")  # doctest: +SKIP
    >>> print(nbi_sampler.evidence_of(result, likelihood).log_evidence)  # doctest: +SKIP
    """
    place: dict[str, Any] = {}
    if isinstance(result, str | os.PathLike | Result):
        source = source_of(result)
        given = source.result
        folder = source.path.parent if source.path else Path(given.outdir or "outdir")
        place = {"outdir": str(folder), "label": f"{given.label}_evidence"}
        priors = priors_of(given) if priors is None else priors
        result = given
    elif not isinstance(result, pd.DataFrame | Mapping):
        raise TypeError(
            "result: expected a bilby Result or the path of its file, a data frame or a dictionary of "
            f"arrays, got {type(result).__name__}; pass what bilby.run_sampler returned, or name the columns "
            "of an array: pandas.DataFrame(samples, columns=names)"
        )
    if not isinstance(likelihood, Likelihood):
        raise TypeError(
            f"likelihood: expected a bilby Likelihood, got {type(likelihood).__name__}; pass the one of the "
            "evidence, and priors after it"
        )
    if priors is None:
        raise ValueError(
            "priors: expected priors for the evidence, got None, and samples without a bilby result have "
            "none; pass priors="
        )
    return bilby.run_sampler(
        likelihood,
        priors,
        sampler="nbi",
        initial_result=result,
        n_effective=n_effective,
        **{**place, **keywords},
    )
