"""A survey for other programs: one flat table, and bilby's result of one target."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from bilby.core.prior import PriorDict
from bilby.core.result import Result

from nbi_sampler.algorithm.records import QUANTILES
from nbi_sampler.reports.meta_data import portable
from nbi_sampler.storage.place import writing_to

if TYPE_CHECKING:
    from nbi_sampler.sampler.survey.table import Survey

__all__ = ["as_result", "flat_table", "write_table"]

# Formats of astropy by the ending of a file.
ASTROPY = {".ecsv": "ascii.ecsv", ".fits": "fits", ".vot": "votable", ".xml": "votable"}
ENDINGS = (".csv", *ASTROPY)


def flat_table(survey: Survey) -> pd.DataFrame:
    """One row for each target and one number or text in each column.

    The columns of ``survey.table`` come first. For each parameter follow its mean, its standard deviation and
    its quantiles: ``m_mean``, ``m_std``, ``m_q2.5``, ``m_q16``, ``m_q50``, ``m_q84``, ``m_q97.5``.
    """
    columns = {}
    for i, name in enumerate(survey.parameters):
        columns[f"{name}_mean"] = survey.mean[:, i]
        columns[f"{name}_std"] = survey.standard_deviation[:, i]
        for j, probability in enumerate(QUANTILES):
            columns[f"{name}_q{100 * probability:g}"] = survey.quantiles[:, i, j]
    return survey.table.join(pd.DataFrame(columns, index=survey.table.index))


def write_table(table: pd.DataFrame, path: str | Path) -> None:
    """Write a table in the format that the ending of its path names; errors as those of `Survey.write`.

    A former file is replaced.
    """
    path = Path(path)
    if path.suffix not in ENDINGS:
        raise ValueError(f"path: expected one that ends in {', '.join(ENDINGS)}, got {str(path)!r}")
    with writing_to("path", path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".csv":
            # Blanks would be masked values for astropy.
            table.to_csv(path, na_rep="nan")
            return
        try:
            from astropy.table import Table
        except ImportError as error:
            raise ModuleNotFoundError(
                f"path: {path.suffix} files need astropy, which is not installed; pip install astropy, or "
                "pass a path that ends in .csv"
            ) from error
        columns = {"target": table.index.astype(str), **{name: table[name] for name in table}}
        whole = Table({name: _plain(column) for name, column in columns.items()})
        whole.write(path, format=ASTROPY[path.suffix], overwrite=True)


def as_result(
    survey: Survey, target: str, priors: Mapping[str, Any] | None, outdir: str | Path = "."
) -> Result:
    """Result of bilby for one target: samples of equal weight, evidence, and the row of the table."""
    posterior, row = survey.posterior(target), survey.table.loc[target]
    own = None if priors is None else priors if isinstance(priors, PriorDict) else PriorDict(dict(priors))
    if own is not None:
        columns = {name: posterior[name].to_numpy() for name in survey.parameters}
        posterior = posterior.assign(log_prior=own.ln_prob(columns, axis=0))
    return Result(
        label=target,
        outdir=str(outdir),
        sampler="nbi",
        search_parameter_keys=list(survey.parameters),
        priors=own,
        posterior=posterior,
        log_evidence=float(row.log_evidence),
        log_evidence_err=float(row.log_evidence_err),
        num_likelihood_evaluations=int(row.n_calls),
        sampling_time=float(row.seconds),
        meta_data={"nbi": portable(row.to_dict())},
    )


def _plain(column: Any) -> np.ndarray[Any, Any]:
    """Column of numbers, or of text of a fixed length."""
    values = np.asarray(column)
    return values if values.dtype.kind in "iuf" else np.asarray([str(value) for value in column])
