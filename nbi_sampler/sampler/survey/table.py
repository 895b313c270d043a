"""The table of a survey: one row for each target, in one HDF5 file that grows and can be read meanwhile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from bilby.core.result import Result
from numpy.typing import NDArray

from nbi_sampler.algorithm.records import QUANTILES
from nbi_sampler.core.types import Array
from nbi_sampler.importance.reliability import Status
from nbi_sampler.sampler.survey.export import as_result, flat_table, write_table
from nbi_sampler.storage.appendable_table import AppendableTable
from nbi_sampler.storage.fingerprint import differences
from nbi_sampler.storage.place import writing_to

__all__ = ["Survey", "columns_of", "finished_targets", "opened_table", "stored"]

NAME_BYTES, STATUS_BYTES, MESSAGE_BYTES, DIGEST_BYTES = 100, 40, 500, 16
_TEXTS = {"name": NAME_BYTES, "status": STATUS_BYTES, "message": MESSAGE_BYTES, "data": DIGEST_BYTES}
_NUMBERS = ("log_evidence", "log_evidence_err", "ess", "efficiency", "k_hat", "p_value", "seconds")
_ARRAYS, _SAMPLES = ("mean", "standard_deviation", "quantiles"), ("samples", "log_likelihood")
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
    path : pathlib.Path
        File of the samples, which are read when they are asked for.
    rows : ndarray of int, shape (n_targets,)
        Rows of the targets in it.
    """

    parameters: tuple[str, ...]
    table: pd.DataFrame
    mean: Array
    standard_deviation: Array
    quantiles: Array
    path: Path
    rows: NDArray[np.intp]

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
            known = [name for name in table.columns if name not in _SAMPLES]
            data = table.read(rows, known)
        texts = {name: np.char.decode(data[name], "utf-8") for name in _TEXTS}
        frame = pd.DataFrame(
            {
                name: texts.get(name, data[name])
                for name in ("status", "message", *_NUMBERS, "n_calls", "seed")
            },
            index=pd.Index(texts["name"], name="target"),
        )
        return cls(parameters, frame, **{name: data[name] for name in _ARRAYS}, path=Path(path), rows=rows)

    def of(self, targets: Sequence[str]) -> Survey:
        """Select some of the targets by name, in this order."""
        rows = self.table.index.get_indexer(list(targets))
        arrays = {name: getattr(self, name)[rows] for name in _ARRAYS}
        return Survey(self.parameters, self.table.iloc[rows], **arrays, path=self.path, rows=self.rows[rows])

    @cached_property
    def samples(self) -> Array:
        """Samples of equal weight, shape (n_targets, n_samples, n_dim); NaN if there are none.

        Raises
        ------
        FileNotFoundError, ValueError
            If the file was removed or replaced.
        """
        return self._read("samples", slice(None))

    @cached_property
    def log_likelihood(self) -> Array:
        """Log-likelihoods of the samples, shape (n_targets, n_samples); see `samples`."""
        return self._read("log_likelihood", slice(None))

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
        samples, log_likelihood = (self._read(name, slice(i, i + 1))[0] for name in _SAMPLES)
        frame = pd.DataFrame(samples, columns=list(self.parameters))
        return frame.assign(log_likelihood=log_likelihood).dropna()

    def frame(self) -> pd.DataFrame:
        """The whole survey as one flat table, one row for each target; see `export.flat_table`."""
        return flat_table(self)

    def write(self, path: str | Path) -> None:
        """Write `frame` to a file that pandas and astropy read.

        Parameters
        ----------
        path : str or pathlib.Path
            Ends in ``.csv``; or in ``.ecsv``, ``.fits``, ``.vot`` or ``.xml``, which astropy writes.

        Raises
        ------
        ValueError
            For any other ending.
        ModuleNotFoundError
            If the format needs astropy, which is not installed.
        """
        write_table(self.frame(), path)

    def result(self, target: str, priors: Mapping[str, Any] | None = None) -> Result:
        """Result of bilby for one target, which can be saved and plotted.

        Parameters
        ----------
        target : str
            Name of the target.
        priors : bilby.core.prior.PriorDict or dict, optional
            Priors of the survey, for the result and its column ``log_prior``.

        Raises
        ------
        KeyError
        """
        return as_result(self, target, priors)

    def _read(self, column: str, targets: slice) -> Array:
        """Read a column of some targets, after a check that the file still holds these."""
        rows, names = self.rows[targets], self.table.index[targets]
        with AppendableTable.open(self.path) as table:
            is_same = len(table) > rows.max(initial=-1)
            data = table.read(rows, ("name", column)) if is_same else {}
        if not is_same or list(np.char.decode(data["name"], "utf-8")) != list(names):
            raise ValueError(
                f"path: expected the survey that was read from {self.path}, got another; read it again"
            )
        return np.asarray(data[column])


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
