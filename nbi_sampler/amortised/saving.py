"""An estimator in one file: arrays and JSON, so that reading it executes no code.

Called by the engine, and by whatever needs the estimator alone.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bilby.core.prior import PriorDict
from numpy.typing import NDArray

from nbi_sampler import __version__
from nbi_sampler.amortised.estimator import Estimator
from nbi_sampler.amortised.layout import DataLayout
from nbi_sampler.amortised.priors import (
    FrozenPrior,
    NotPortable,
    priors_from,
    priors_from_json,
    priors_to_json,
)
from nbi_sampler.amortised.setup import qualified_name
from nbi_sampler.amortised.summary import DataSummary
from nbi_sampler.diagnostics.out_of_distribution import Familiarity
from nbi_sampler.featurizers import featurizer_factory
from nbi_sampler.flows import flow_factory
from nbi_sampler.priors.space import ParameterSpace
from nbi_sampler.proposals.affine import AffineMap
from nbi_sampler.randomness import seeded_modules
from nbi_sampler.settings.devices import find_device
from nbi_sampler.storage.archive import ArchiveError, read_archive, write_archive
from nbi_sampler.storage.portable import Packer, unpack

__all__ = ["load_engine", "load_estimator", "prior_probes", "save_estimator"]

FORMAT = "nbi_sampler estimator"
FORMAT_VERSION = 1
KINDS = (AffineMap, DataLayout, DataSummary, Familiarity)
N_PROBES = 8
TOLERANCE = 1e-7


def save_estimator(
    path: str | Path, estimator: Estimator, priors: PriorDict, about: Mapping[str, Any]
) -> None:
    """Write an estimator in place of the file before.

    Parameters
    ----------
    path : str or pathlib.Path
    estimator : Estimator
    priors : bilby.core.prior.PriorDict
    about : mapping
        What else is to be known of it; what JSON can hold.
    """
    packer = Packer(KINDS)
    state = estimator.featurizer.state_dict()
    parts = (estimator.layout, estimator.flow, estimator.affine, estimator.summary, estimator.familiarity)
    header = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "version": __version__,
        "names": list(estimator.names),
        "priors": _portable(priors),
        "probes": prior_probes(estimator.space).tolist(),
        "parts": packer.pack(parts, "parts"),
        "featurizer": dict(estimator.featurizer.recipe),
        "featurizer_state": {name: packer.pack(value, f"featurizer.{name}") for name, value in state.items()},
        "objects": packer.objects,
        "about": dict(about),
    }
    write_archive(Path(path), header, packer.arrays)


def load_estimator(
    path: str | Path,
    *,
    priors: PriorDict | None = None,
    featurizer: Any = None,
    flow: Any = None,
    device: torch.device | str = "cpu",
) -> tuple[Estimator, PriorDict, dict[str, Any]]:
    """Read an estimator.

    Parameters
    ----------
    path : str or pathlib.Path
    priors : bilby.core.prior.PriorDict, optional
        Needed where the file could not hold those of the training; must be the same.
    featurizer, flow : nn.Module, optional
        The user's own, where such were trained.
    device : torch.device or str

    Returns
    -------
    Estimator, PriorDict, dict
        The last is what was written about it.

    Raises
    ------
    ArchiveError
        The file is no saved estimator, or of another version.
    ValueError
        Priors or networks have to be given, or differ from those of the training.
    """
    path = Path(path)
    header, arrays = read_archive(path)
    if header.get("format") != FORMAT or header.get("format_version") != FORMAT_VERSION:
        raise ArchiveError(f"{path} is no estimator saved by this version: {header.get('format')}")
    priors = _restored_priors(header, priors)
    space = ParameterSpace(priors)
    _check_priors(header, space)
    try:
        own_flow = flow_factory(flow) if flow is not None else _missing("flow")
        where = torch.device(device)
        layout, density, affine, summary, familiarity = unpack(
            header["parts"], header["objects"], arrays, KINDS, own_flow, where
        )
        recipe = header["featurizer"]
        make = (
            featurizer_factory(recipe or featurizer)
            if recipe or featurizer is not None
            else _missing("featurizer")
        )
        # What it starts from is overwritten; no global generator may move.
        with seeded_modules(np.random.default_rng(0)):
            network = make(layout.shape, space.n_dim)
        saved = header["featurizer_state"].items()
        network.load_state_dict({name: torch.from_numpy(arrays[part["tensor"]]) for name, part in saved})
    except (KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise ArchiveError(f"{path} cannot be put together: {type(error).__name__}: {error}") from error
    network = network.to(where).eval()
    estimator = Estimator(space, layout, network, density, affine, summary, familiarity)
    return estimator, priors, header["about"]


def load_engine(path: str | Path, given: Mapping[str, Any]) -> tuple[Estimator, dict[str, Any]]:
    """Read an estimator, and the arguments of the engine that it belongs to.

    Parameters
    ----------
    path : str or pathlib.Path
    given : mapping
        Arguments that the file cannot hold, or that may be others now.
    """
    priors, flow, featurizer = (given.get(name) for name in ("priors", "flow", "featurizer"))
    device = find_device(given.get("device", "auto"))
    labels = read_archive(Path(path))[0].get("names")
    known = None if priors is None else priors_from(priors, labels)
    estimator, restored, about = load_estimator(
        path, priors=known, featurizer=featurizer, flow=flow, device=device
    )
    for name in ("simulator", "noise"):
        now = qualified_name(given.get(name))
        if callable(given.get(name)) and now != about[name]:
            warnings.warn(f"{name}: the engine was trained with {about[name]}, got {now}", stacklevel=3)
    frozen = all(isinstance(prior, FrozenPrior) for prior in restored.values())
    arguments = {
        "flow": {key: value for key, value in estimator.flow.recipe.items() if key != "n_context"} or flow,
        "featurizer": dict(estimator.featurizer.recipe) or featurizer,
        # Their simulator takes a vector, and that of a dictionary a mapping.
        "priors": [prior.distribution for prior in restored.values()] if frozen else restored,
        "labels": list(estimator.names) if frozen else None,
        "channels": estimator.layout.channels,
        "seed": about["entropy"],
        "noise": None if isinstance(about["noise"], str) else about["noise"],
    }
    kept = ("flow", "featurizer", "priors")
    return estimator, {**arguments, **{key: value for key, value in given.items() if key not in kept}}


def prior_probes(space: ParameterSpace) -> NDArray[np.float64]:
    """What the priors make of fixed draws of z, shape (n_probes, n_dim): another prior gives other values."""
    return space.to_theta(np.random.default_rng(0).normal(size=(N_PROBES, space.n_dim)))


def _portable(priors: PriorDict) -> dict[str, Any] | None:
    try:
        return priors_to_json(priors)
    except NotPortable:
        return None


def _restored_priors(header: Mapping[str, Any], priors: PriorDict | None) -> PriorDict:
    if priors is not None:
        return priors
    if header["priors"] is None:
        raise NotPortable(
            "priors: expected those of the training, as a file cannot hold conditional or joint priors, or "
            f"functions; pass priors= for {', '.join(header['names'])}"
        )
    return priors_from_json(header["priors"])


def _check_priors(header: Mapping[str, Any], space: ParameterSpace) -> None:
    if list(space.names) != header["names"]:
        raise ValueError(f"priors: expected parameters {header['names']}, got {list(space.names)}")
    saved, now = np.array(header["probes"]), prior_probes(space)
    scale = np.abs(saved).max(0) + 1e-300
    differ = (np.abs(saved - now) > TOLERANCE * scale).any(0)
    if differ.any():
        names = [name for name, flag in zip(space.names, differ, strict=True) if flag]
        raise ValueError(f"priors: expected those of the training, got others for {', '.join(names)}")


def _missing(argument: str) -> Any:
    def make(*_: Any) -> Any:
        raise ValueError(
            f"{argument}: expected the module that was trained, as a file holds its parameters and not its "
            f"code; pass {argument}="
        )

    return make
