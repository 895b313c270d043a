"""What a training has learnt, in one file: arrays and JSON, so that reading it executes no code.

An estimator for all targets, what rounds have found about one, or both. Called by `engine_file`, and by
whatever needs the estimator alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bilby.core.prior import PriorDict
from numpy.typing import NDArray

from nbi_sampler import __version__
from nbi_sampler.algorithm.records import RoundRecord
from nbi_sampler.amortised.estimator import Estimator
from nbi_sampler.amortised.layout import DataLayout
from nbi_sampler.amortised.priors import NotPortable, priors_from_json, priors_to_json
from nbi_sampler.amortised.sequential import Focused
from nbi_sampler.amortised.summary import DataSummary
from nbi_sampler.diagnostics.out_of_distribution import Familiarity
from nbi_sampler.featurizers import Featurizer, featurizer_factory
from nbi_sampler.flows import flow_factory
from nbi_sampler.priors.space import ParameterSpace
from nbi_sampler.proposals.kinds import PROPOSAL_KINDS
from nbi_sampler.randomness import seeded_modules
from nbi_sampler.storage.archive import ArchiveError, read_archive, write_archive
from nbi_sampler.storage.portable import Packer, unpack

__all__ = ["KINDS", "Learnt", "load_estimator", "load_learnt", "prior_probes", "save_learnt"]

FORMAT = "nbi_sampler estimator"
FORMAT_VERSION = 1
KINDS = (*PROPOSAL_KINDS, DataLayout, DataSummary, Familiarity, Focused, RoundRecord)
N_PROBES = 8
TOLERANCE = 1e-7


@dataclass(frozen=True)
class Learnt:
    """What a file holds.

    Attributes
    ----------
    priors : PriorDict
    estimator : Estimator, optional
        For all targets.
    focused : Focused, optional
        For one.
    about : dict
        What else is to be known of them; what JSON can hold.
    """

    priors: PriorDict
    estimator: Estimator | None = None
    focused: Focused | None = None
    about: dict[str, Any] = field(default_factory=dict)


def save_learnt(path: str | Path, learnt: Learnt) -> None:
    """Write what was learnt in place of the file before.

    Parameters
    ----------
    path : str or pathlib.Path
    learnt : Learnt
    """
    packer = Packer(KINDS)
    space = ParameterSpace(learnt.priors)
    focused = learnt.focused and replace(learnt.focused, function=None)
    header = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "version": __version__,
        "names": list(space.names),
        "priors": _portable(learnt.priors),
        "probes": prior_probes(space).tolist(),
        "focused": packer.pack(focused),
        **({} if learnt.estimator is None else _taken_apart(learnt.estimator, packer)),
        "objects": packer.objects,
        "about": learnt.about,
    }
    write_archive(Path(path), header, packer.arrays)


def load_learnt(
    path: str | Path,
    *,
    priors: PriorDict | None = None,
    featurizer: Any = None,
    flow: Any = None,
    device: torch.device | str = "cpu",
) -> Learnt:
    """Read what was learnt.

    Parameters
    ----------
    path : str or pathlib.Path
    priors : bilby.core.prior.PriorDict, optional
        Needed where the file could not hold those of the training; must be the same.
    featurizer, flow : nn.Module, optional
        The user's own, where such were trained.
    device : torch.device or str

    Raises
    ------
    ArchiveError
        The file is of another kind or version.
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
    own_flow = flow_factory(flow) if flow is not None else _missing("flow")
    try:
        wanted = [header.get("parts"), header.get("focused")]
        parts, focused = unpack(wanted, header["objects"], arrays, KINDS, own_flow, torch.device(device))
        estimator = None
        if parts is not None:
            network = _network(header, arrays, space, parts[0], featurizer)
            layout, density, affine, summary, familiarity = parts
            network = network.to(torch.device(device)).eval()
            estimator = Estimator(space, layout, network, density, affine, summary, familiarity)
    except (KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise ArchiveError(f"{path} cannot be put together: {type(error).__name__}: {error}") from error
    return Learnt(priors, estimator, focused, header["about"])


def load_estimator(path: str | Path, *, priors: PriorDict | None = None) -> Estimator:
    """Read an estimator; see `load_learnt`.

    Raises
    ------
    ArchiveError
        Also for a file of rounds for one target.
    """
    estimator = load_learnt(path, priors=priors).estimator
    if estimator is None:
        raise ArchiveError(f"{path} holds rounds for one target; fit with n_rounds=1 for all of them")
    return estimator


def _taken_apart(estimator: Estimator, packer: Packer) -> dict[str, Any]:
    state = estimator.featurizer.state_dict()
    parts = (estimator.layout, estimator.flow, estimator.affine, estimator.summary, estimator.familiarity)
    return {
        "parts": packer.pack(parts, "parts"),
        "featurizer": dict(estimator.featurizer.recipe),
        "featurizer_state": {name: packer.pack(value, f"featurizer.{name}") for name, value in state.items()},
    }


def _network(
    header: Mapping[str, Any],
    arrays: Mapping[str, NDArray[Any]],
    space: ParameterSpace,
    layout: DataLayout,
    own: Any,
) -> Featurizer:
    """The featurizer, made from its recipe or the user's module, with the state in the file."""
    recipe = header["featurizer"]
    make = featurizer_factory(recipe or own) if recipe or own is not None else _missing("featurizer")
    # What it starts from is overwritten; no global generator may move.
    with seeded_modules(np.random.default_rng(0)):
        network = make(layout.shape, space.n_dim)
    saved = header["featurizer_state"].items()
    network.load_state_dict({name: torch.from_numpy(arrays[part["tensor"]]) for name, part in saved})
    return network


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
