"""The table of a survey: one row for each target, in one HDF5 file that grows and can be read meanwhile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nbi_sampler.algorithm.records import QUANTILES
from nbi_sampler.importance.reliability import Status
from nbi_sampler.storage.appendable_table import AppendableTable
from nbi_sampler.storage.fingerprint import differences
from nbi_sampler.storage.place import writing_to

__all__ = ["Survey", "columns_of", "finished_targets", "opened_table", "stored"]

Array = NDArray[np.float64]

NAME_BYTES, STATUS_BYTES, MESSAGE_BYTES, DIGEST_BYTES = 100, 40, 500, 16
_TEXTS = {"name": NAME_BYTES, "status": STATUS_BYTES, "message": MESSAGE_BYTES, "data": DIGEST_BYTES}
_NUMBERS = ("log_evidence", "log_evidence_err", "ess", "efficiency", "k_hat", "p_value", "seconds")
_ARRAYS = ("mean", "standard_deviation", "quantiles", "samples", "log_likelihood")
_COUNTS = ("index", "n_calls", "seed")


@dataclass(frozen=True)
class Survey:
    """Results for the targets of a survey, made by `read` or by `infer_many`.

    Attributes
    ----------
    parameters : tuple of str
    table : pandas.DataFrame
        One row for each target, by name: ``status``, ``message``, ``log_evidence``, ``log_evidence_err``,
        ``ess``, ``efficiency`` (of the last proposal), ``k_hat``, ``p_value`` (of the data under the model),
        ``n_calls``, ``seconds``, ``seed``. NaN if a target failed.
    mean, standard_deviation : ndarray, shape (n_targets, n_dim)
    quantiles : ndarray, shape (n_targets, n_dim, 5)
        Quantiles at the probabilities 0.025, 0.16, 0.5, 0.84 and 0.975.
    samples : ndarray, shape (n_targets, n_samples, n_dim)
        Samples of equal weight; NaN if there are none.
    log_likelihood : ndarray, shape (n_targets, n_samples)
        Log-likelihoods of the samples.
    """

    parameters: tuple[str, ...]
    table: pd.DataFrame
    mean: Array
    standard_deviation: Array
    quantiles: Array
    samples: Array
    log_likelihood: Array

    @classmethod
    def read(cls, path: str | Path) -> Survey:
        """Read the table of a survey, which may still be running; targets are in the order of the survey.

        Raises
        ------
        FileNotFoundError, ValueError
            See `AppendableTable.open`.
        """
        with AppendableTable.open(path) as table:
            parameters = tuple(table.metadata["parameters"])
            names = table.read(columns=("name", "index"))
            rows = _latest(names["name"])
            rows = rows[np.argsort(names["index"][rows], kind="stable")]
            data = table.read(rows)
        texts = {name: np.char.decode(data[name], "utf-8") for name in _TEXTS}
        frame = pd.DataFrame(
            {
                name: texts.get(name, data[name])
                for name in ("status", "message", *_NUMBERS, "n_calls", "seed")
            },
            index=pd.Index(texts["name"], name="target"),
        )
        return cls(parameters, frame, **{name: data[name] for name in _ARRAYS})

    def of(self, targets: Sequence[str]) -> Survey:
        """Select some of the targets by name, in this order."""
        rows = self.table.index.get_indexer(list(targets))
        arrays = {name: getattr(self, name)[rows] for name in _ARRAYS}
        return Survey(self.parameters, self.table.iloc[rows], **arrays)

    def posterior(self, target: str) -> pd.DataFrame:
        """Samples of equal weight for one target, with a column ``log_likelihood``.

        Parameters
        ----------
        target : str
            Name of the target.

        Raises
        ------
        KeyError
        """
        i = self.table.index.get_loc(target)
        frame = pd.DataFrame(self.samples[i], columns=list(self.parameters))
        return frame.assign(log_likelihood=self.log_likelihood[i]).dropna()


def columns_of(n_dim: int, n_samples: int) -> dict[str, np.dtype[Any]]:
    """Row types of the table."""
    return {
        **{name: np.dtype(f"S{size}") for name, size in _TEXTS.items()},
        **{name: np.dtype(np.int64) for name in _COUNTS},
        **{name: np.dtype(float) for name in _NUMBERS},
        "mean": np.dtype((float, (n_dim,))),
        "standard_deviation": np.dtype((float, (n_dim,))),
        "quantiles": np.dtype((float, (n_dim, len(QUANTILES)))),
        "samples": np.dtype((float, (n_samples, n_dim))),
        "log_likelihood": np.dtype((float, (n_samples,))),
    }


def opened_table(path: Path, n_samples: int, about: Mapping[str, Any], resume: bool) -> AppendableTable:
    """Open the table for writing: an existing one of the same survey, or a new one.

    Parameters
    ----------
    about : mapping
        Description of the survey in values that JSON can hold: its ``"parameters"`` and ``"seed"``, and a
        ``"fingerprint"`` that is compared.
    resume : bool
        Whether to continue an existing table. If not, it is removed.

    Raises
    ------
    ValueError
        If it holds another survey; the message names the differences.
    BlockingIOError
        If another process is writing to it.
    """
    if not resume:
        path.unlink(missing_ok=True)
    if not path.exists():
        with writing_to("path", path):
            return AppendableTable.create(path, columns_of(len(about["parameters"]), n_samples), about)
    table = AppendableTable.open(path, writable=True)
    differing = differences(table.metadata.get("fingerprint", {}), about["fingerprint"])
    if differing:
        table.close()
        raise ValueError(
            f"path: {path} is the table of another survey: {'; '.join(differing)}; give another path, or "
            "resume=False to replace it"
        )
    return table


def finished_targets(table: AppendableTable) -> dict[str, str]:
    """Digests of the data of the targets that did not fail, by name; these are not run again."""
    rows = table.read(columns=("name", "status", "data"))
    texts = {name: np.char.decode(rows[name], "utf-8") for name in rows}
    latest = _latest(rows["name"])
    return {texts["name"][i]: texts["data"][i] for i in latest if texts["status"][i] != Status.FAILED}


def stored(table: AppendableTable, row: Mapping[str, Any]) -> None:
    """Commit one row; long text is cut, and missing numbers are NaN."""
    full: dict[str, Any] = {}
    for name, kind in table.columns.items():
        if name in _TEXTS:
            full[name] = [_cut(row[name], _TEXTS[name])]
        else:
            missing = np.nan if kind.base.kind == "f" else 0
            full[name] = np.broadcast_to(row.get(name, missing), (1, *kind.shape))
    table.append(full)


def _latest(names: NDArray[np.bytes_]) -> NDArray[np.intp]:
    """Indices of the last row of each name, ascending; a failed target may have been run again."""
    return np.array(sorted({name: i for i, name in enumerate(names.tolist())}.values()), dtype=np.intp)


def _cut(text: str, size: int) -> bytes:
    """Text in at most ``size`` bytes of UTF-8, with whole characters."""
    return text.encode()[:size].decode(errors="ignore").encode()
