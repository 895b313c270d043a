"""The file of a training under way: the same call of `fit` goes on from it, whatever ended the one before.

It holds the state of every network's fit as arrays and JSON, and a fingerprint of the training. The
simulations are not in it: they are made again from the seed, or read from their store.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nbi_sampler import __version__
from nbi_sampler.amortised.data_format import DataFormat
from nbi_sampler.amortised.setup import Setup
from nbi_sampler.amortised.training_set import Examples
from nbi_sampler.core.config import TRAINING_CHECKPOINT, TrainingConfig
from nbi_sampler.networks.training.continued import FitState, Keeper
from nbi_sampler.storage.archive import ArchiveError, check_seal, read_archive, sealed, write_archive
from nbi_sampler.storage.checks import check_field
from nbi_sampler.storage.fingerprint import described, differences, priors_described, versions
from nbi_sampler.storage.place import writing_to

__all__ = ["TrainingCheckpoint", "training_described"]

FORMAT = "nbi_sampler training"
FORMAT_VERSION = 1
FIELDS: dict[str, Any] = {"seed": int, "fingerprint": dict[str, Any], "fits": list[dict[str, Any]]}


class TrainingCheckpoint:
    """State of a training in a file.

    Parameters
    ----------
    path : str or pathlib.Path
        A file of this class, or one that does not exist yet.

    Attributes
    ----------
    path : pathlib.Path
    seed : int or None
        Seed of the training in the file; None if there is no file.

    Raises
    ------
    ArchiveError
        If the file is of another kind, or damaged.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.seed: int | None = None
        self._fingerprint: dict[str, Any] = {}
        self._fits: dict[tuple[int, int], FitState] = {}
        self._written, self._cost = 0.0, 0.0
        if self.path.exists():
            self._read()

    @property
    def n_epochs(self) -> int:
        """Number of epochs in the file, of all networks."""
        return sum(len(fit.numbers["validation"]) for fit in self._fits.values())

    def belongs_to(self, seed: int, fingerprint: Mapping[str, Any]) -> None:
        """Say which training this is.

        Raises
        ------
        ValueError
            If the file is that of another one; the message names the differences.
        """
        differing = differences(self._fingerprint, fingerprint) if self.seed is not None else []
        if differing:
            raise ValueError(
                f"checkpoint: {self.path} belongs to another training: {'; '.join(differing)}; pass another "
                "path, or remove the file to begin again"
            )
        self.seed, self._fingerprint = seed, dict(fingerprint)

    def of_member(self, index: int) -> tuple[Keeper, Keeper]:
        """Keepers of the two fits of one network, the second of which may not take place.

        The fits of the networks before it are finished.
        """
        return _OneFit(self, (index, 0)), _OneFit(self, (index, 1))

    def kept(self, fit: tuple[int, int]) -> FitState | None:
        """State of a fit, known by its network and its number there, in the file."""
        return self._fits.get(fit)

    def keep(self, fit: tuple[int, int], state: Callable[[], FitState], is_last: bool) -> None:
        """Write the state of a fit, unless that would take too large a share of the time."""
        since = time.monotonic() - self._written
        if not is_last and self._cost > TRAINING_CHECKPOINT.share * since:
            return
        start = time.monotonic()
        self._fits[fit] = state()
        self._write()
        self._written = time.monotonic()
        self._cost = self._written - start

    def _write(self) -> None:
        arrays = {
            f"{i}.{name}": tensor.detach().cpu().numpy()
            for i, fit in enumerate(self._fits.values())
            for name, tensor in fit.tensors.items()
        }
        header = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "version": __version__,
            "seed": self.seed,
            "fingerprint": self._fingerprint,
            "fits": [{"fit": list(which), **fit.numbers} for which, fit in self._fits.items()],
        }
        with writing_to("checkpoint", self.path):
            write_archive(self.path, sealed(header, arrays), arrays)

    def _read(self) -> None:
        try:
            header, arrays = read_archive(self.path)
            if header.get("format") != FORMAT or header.get("format_version") != FORMAT_VERSION:
                raise ArchiveError(f"it is no checkpoint of a training: {header.get('format')}")
            for name, kind in FIELDS.items():
                check_field(name, header.get(name), kind)
            check_seal(header)
        except ArchiveError as error:
            raise ArchiveError(
                f"checkpoint: {self.path} cannot be used: {error}; pass another path, or remove the file to "
                "begin again"
            ) from error
        self.seed, self._fingerprint = header["seed"], header["fingerprint"]
        for i, numbers in enumerate(header["fits"]):
            own = {name: each for name, each in arrays.items() if name.startswith(f"{i}.")}
            tensors = {name.removeprefix(f"{i}."): torch.from_numpy(each) for name, each in own.items()}
            network, number = numbers.pop("fit")
            self._fits[network, number] = FitState(numbers, tensors)


class _OneFit(Keeper):
    def __init__(self, checkpoint: TrainingCheckpoint, fit: tuple[int, int]) -> None:
        self._checkpoint = checkpoint
        self._fit = fit

    def kept(self) -> FitState | None:
        """See `Keeper`."""
        return self._checkpoint.kept(self._fit)

    def keep(self, state: Callable[[], FitState], is_last: bool) -> None:
        """See `Keeper`."""
        self._checkpoint.keep(self._fit, state, is_last)


def training_described(
    setup: Setup,
    featurizer: Any,
    config: TrainingConfig,
    data_format: DataFormat,
    examples: Examples,
) -> dict[str, Any]:
    """Fingerprint of a training: everything that its numbers depend on.

    Parameters
    ----------
    setup : Setup
    featurizer : object
        As `Setup.networks` takes it.
    config : TrainingConfig
    data_format : DataFormat
    examples : Examples
        The simulations, which a digest represents.
    """
    digest = (examples.some, examples.some_theta, examples.affine.mean, examples.affine.factor)
    settings = {name: value for name, value in asdict(config).items() if name != "n_threads"}
    return {
        "seed": setup.entropy,
        "n_ensemble": setup.n_ensemble,
        "flow": described(setup.flow),
        "featurizer": described(featurizer),
        **settings,
        "noise": described(setup.noise),
        "channels": list(data_format.channels),
        "number of simulations": examples.counts.n_used,
        "simulations": described([described(np.asarray(part)) for part in digest]),
        **priors_described(setup.priors, setup.space),
        "kind of device": setup.device.type,
        **versions(),
    }
