"""Files of trained engines, which consist of arrays and JSON, so that reading executes no code.

A file contains an estimator for all targets, the posterior of one target from sequential rounds, or both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bilby.core.prior import PriorDict
from numpy.typing import NDArray

from nbi_sampler import __version__
from nbi_sampler.algorithm.proposals.affine import AffineMap
from nbi_sampler.algorithm.records import RoundRecord
from nbi_sampler.amortised.data_format import DataFormat
from nbi_sampler.amortised.estimator import Estimator
from nbi_sampler.amortised.out_of_distribution import DataSummary, OutOfDistributionTest
from nbi_sampler.amortised.sequential import SequentialPosterior
from nbi_sampler.amortised.setup import qualified_name
from nbi_sampler.core.guarded import warn_user
from nbi_sampler.core.randomness import seeded_modules
from nbi_sampler.networks.devices import find_device
from nbi_sampler.networks.featurizers import Featurizer, featurizer_factory
from nbi_sampler.networks.flows import Density, flow_factory
from nbi_sampler.priors.portable import (
    FrozenPrior,
    NotPortable,
    priors_from,
    priors_from_json,
    priors_to_json,
)
from nbi_sampler.priors.space import ParameterSpace
from nbi_sampler.storage.archive import (
    ArchiveError,
    check_seal,
    read_archive,
    reading_field,
    sealed,
    write_archive,
)
from nbi_sampler.storage.checks import bounded_modules, check_field
from nbi_sampler.storage.objects import PROPOSAL_KINDS, Packer, unpack
from nbi_sampler.storage.place import writing_to

__all__ = [
    "KINDS",
    "Learnt",
    "load_estimator",
    "load_learnt",
    "parameters_in",
    "reopened",
    "save_learnt",
]


FORMAT = "nbi_sampler estimator"
FORMAT_VERSION = 1

KINDS = (*PROPOSAL_KINDS, DataFormat, DataSummary, OutOfDistributionTest, SequentialPosterior, RoundRecord)

# Types of the entries of every header. A header with an estimator has those of OF_ESTIMATOR besides.
FIELDS: dict[str, Any] = {
    **{"version": str, "names": list[str], "priors": dict[str, dict[str, Any]] | None},
    **{"probes": list[list[float]], "objects": list[dict[str, Any]], "about": dict[str, Any]},
    "focused": dict[str, Any] | None,
}

OF_ESTIMATOR: dict[str, Any] = {
    **{"parts": list[dict[str, Any]], "featurizer": dict[str, Any]},
    "featurizer_state": dict[str, dict[str, Any]],
}

ABOUT: dict[str, Any] = {
    **{"simulator": str, "noise": str | float | list[Any] | None, "entropy": int},
    **dict.fromkeys(("flow", "featurizer"), str | dict[str, Any] | list[Any] | None),
    "channels": list[str] | None,
}

PARTS = {
    **{"data_format": DataFormat, "flow": Density, "affine": AffineMap},
    **{"summary": DataSummary, "ood_test": OutOfDistributionTest},
}


class UnknownPrior(ArchiveError, NotPortable):
    """A file contains a prior of a class that files may not contain."""


@dataclass(frozen=True)
class Learnt:
    """The content of a file.

    Attributes
    ----------
    priors : PriorDict
    estimator : Estimator, optional
        The posterior of any target.
    sequential : SequentialPosterior, optional
        The posterior of one target.
    about : dict
        Further information, in types that JSON can hold.
    """

    priors: PriorDict
    estimator: Estimator | None = None
    sequential: SequentialPosterior | None = None
    about: dict[str, Any] = field(default_factory=dict)


def save_learnt(path: str | Path, learnt: Learnt) -> None:
    """Write a file, which replaces an existing one."""
    packer = Packer(KINDS)
    space = ParameterSpace(learnt.priors)
    sequential = learnt.sequential and replace(learnt.sequential, function=None)
    header = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "version": __version__,
        "names": list(space.names),
        "priors": _portable(learnt.priors),
        "probes": space.signature().tolist(),
        "focused": packer.pack(sequential),
        **({} if learnt.estimator is None else _taken_apart(learnt.estimator, packer)),
        "objects": packer.objects,
        "about": learnt.about,
    }
    with writing_to("path", Path(path)):
        write_archive(Path(path), sealed(header, packer.arrays), packer.arrays)


def load_learnt(
    path: str | Path,
    *,
    priors: PriorDict | None = None,
    featurizer: Any = None,
    flow: Any = None,
    device: torch.device | str = "cpu",
) -> Learnt:
    """Read what an engine has learnt from a file.

    Parameters
    ----------
    path : str or pathlib.Path
    priors : bilby.core.prior.PriorDict, optional
        Priors of the training. They are needed if the file could not hold them.
    featurizer, flow : nn.Module, optional
        The user's own networks, if such were trained.
    device : torch.device or str

    Raises
    ------
    FileNotFoundError
    ArchiveError
        If the file is of another kind or version, or damaged. The message names the file and the field.
    ValueError
        If priors or networks are missing, or differ from those of the training.
    """
    with _naming(Path(path)):
        return _load(Path(path), priors, featurizer, flow, torch.device(device))


def parameters_in(path: str | Path) -> list[str]:
    """Names of the parameters in a file, in their order; raises `ArchiveError` for another file."""
    with _naming(Path(path)):
        header, _ = read_archive(Path(path))
        check_field("names", header.get("names"), list[str])
        return list(header["names"])


def _load(path: Path, priors: PriorDict | None, featurizer: Any, flow: Any, device: torch.device) -> Learnt:
    header, arrays = read_archive(path)
    if header.get("format") != FORMAT or header.get("format_version") != FORMAT_VERSION:
        raise ArchiveError(f"it is no estimator saved by this version: {header.get('format')}")
    is_estimator = bool(OF_ESTIMATOR.keys() & header.keys())
    for name, kind in {**FIELDS, **(OF_ESTIMATOR if is_estimator else {})}.items():
        check_field(name, header.get(name), kind)
    for name, kind in ABOUT.items():
        check_field(f"about.{name}", header["about"].get(name), kind)
    priors, space = _priors_and_space(header, priors)
    own_flow = flow_factory(flow) if flow is not None else _missing("flow")
    wanted = [header.get("parts"), header["focused"]]
    parts, sequential = unpack(wanted, header["objects"], arrays, KINDS, own_flow, device, space.n_dim)
    check_field("focused", sequential, SequentialPosterior | None)
    estimator = None
    if parts is not None:
        check_field("parts", parts, tuple)
        if len(parts) != len(PARTS):
            raise ArchiveError(f"it is damaged: its field 'parts' has {len(parts)} parts, not {len(PARTS)}")
        for (name, kind), part in zip(PARTS.items(), parts, strict=True):
            check_field(f"parts.{name}", part, kind)
        network = _network(header, arrays, space, parts[0].shape, featurizer).to(device).eval()
        data_format, *rest = parts
        estimator = Estimator(space, data_format, network, *rest)
    check_seal(header)
    return Learnt(priors, estimator, sequential, header["about"])


def load_estimator(path: str | Path, *, priors: PriorDict | None = None) -> Estimator:
    """Read an estimator; see `load_learnt`.

    Raises
    ------
    ArchiveError
        Also if the file contains only rounds for one target.
    """
    estimator = load_learnt(path, priors=priors).estimator
    if estimator is None:
        raise ArchiveError(f"{path} holds rounds for one target; fit with n_rounds=1 for all of them")
    return estimator


def _taken_apart(estimator: Estimator, packer: Packer) -> dict[str, Any]:
    state = estimator.featurizer.state_dict()
    parts = (estimator.data_format, estimator.flow, estimator.affine, estimator.summary, estimator.ood_test)
    return {
        "parts": packer.pack(parts, "parts"),
        "featurizer": dict(estimator.featurizer.recipe),
        "featurizer_state": {name: packer.pack(value, f"featurizer.{name}") for name, value in state.items()},
    }


def _network(
    header: Mapping[str, Any],
    arrays: Mapping[str, NDArray[Any]],
    space: ParameterSpace,
    shape: tuple[int, int],
    own: Any,
) -> Featurizer:
    """Make the featurizer from its recipe or from the user's module, with the state in the file."""
    recipe = header["featurizer"]
    if not recipe and own is None:
        _missing("featurizer")()
    saved = header["featurizer_state"].items()
    with reading_field("featurizer_state"):
        state = {name: torch.from_numpy(arrays[part["tensor"]]) for name, part in saved}
    with reading_field("featurizer"):
        make = featurizer_factory(_as_saved(recipe) or own)
        n_values = sum(tensor.numel() for tensor in state.values())
        # Initial values are overwritten. The seed keeps global generators unchanged.
        with seeded_modules(np.random.default_rng(0)):
            with bounded_modules(recipe, n_values) if recipe else nullcontext():
                network = make(shape, space.n_dim)
        network.load_state_dict(state)
    return network


def _as_saved(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Complete an older recipe with newer settings, at the values that all networks had then."""
    settings = dict(recipe)
    if settings.get("type") in ("resnet-gru", "resnet", "gru"):
        settings.setdefault("linear_trunk", False)
    if settings.get("type") == "joined":
        settings["parts"] = [
            _as_saved(part) if isinstance(part, Mapping) else part for part in settings["parts"]
        ]
    return settings


def _portable(priors: PriorDict) -> dict[str, Any] | None:
    try:
        return priors_to_json(priors)
    except NotPortable:
        return None


def _priors_and_space(
    header: Mapping[str, Any], priors: PriorDict | None
) -> tuple[PriorDict, ParameterSpace]:
    """Return the given priors or those in the file, after a check that they are those of the training."""
    if priors is not None:
        space = ParameterSpace(priors)
        _check_priors(header, space)
        return priors, space
    if header["priors"] is None:
        raise NotPortable(
            "priors: expected those of the training, as a file cannot hold conditional or joint priors, or "
            f"functions; pass priors= for {', '.join(header['names'])}"
        )
    with reading_field("priors"):
        try:
            restored = priors_from_json(header["priors"])
        except NotPortable as error:
            raise UnknownPrior(f"its field 'priors' cannot be used: {error}") from error
        space = ParameterSpace(restored)
        _check_priors(header, space)
    return restored, space


def _check_priors(header: Mapping[str, Any], space: ParameterSpace) -> None:
    if list(space.names) != header["names"]:
        raise ValueError(f"priors: expected parameters {header['names']}, got {list(space.names)}")
    with reading_field("probes"):
        differing = space.differs_from(np.array(header["probes"], dtype=float))
    if differing:
        raise ValueError(f"priors: expected those of the training, got others for {', '.join(differing)}")


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Name the file in all errors within this block; raise `FileNotFoundError` if it does not exist."""
    if not path.is_file():
        raise FileNotFoundError(f"path: expected a file of NBI.save, got {str(path)!r}, which is none")
    try:
        yield
    except ArchiveError as error:
        raise type(error)(f"{path}: {error}") from error
    except (LookupError, TypeError, AttributeError, RuntimeError) as error:
        raise ArchiveError(f"{path}: it cannot be put together ({type(error).__name__}: {error})") from error


def _missing(argument: str) -> Any:
    def make(*_: Any) -> Any:
        raise ValueError(
            f"{argument}: expected the module that was trained, as a file holds its parameters and not its "
            f"code; pass {argument}="
        )

    return make


def reopened(path: str | Path, given: Mapping[str, Any]) -> tuple[Learnt, dict[str, Any]]:
    """Read a file, and return its content with the arguments for an equal engine.

    Parameters
    ----------
    path : str or pathlib.Path
    given : mapping
        Arguments that the file cannot hold, or that replace those of the file.
    """
    priors, flow, featurizer = (given.get(name) for name in ("priors", "flow", "featurizer"))
    device = find_device(given.get("device", "auto"))
    known = None if priors is None else priors_from(priors, parameters_in(path))
    learnt = load_learnt(path, priors=known, featurizer=featurizer, flow=flow, device=device)
    about = learnt.about
    for name in ("simulator", "noise"):
        now = qualified_name(given.get(name))
        if callable(given.get(name)) and now != about.get(name):
            warn_user(f"{name}: the engine was trained with {about.get(name)}, got {now}")
    frozen = all(isinstance(prior, FrozenPrior) for prior in learnt.priors.values())
    arguments = {
        **_networks(learnt, flow, featurizer),
        # With a list of priors the simulator takes a vector, and with a dictionary a mapping.
        "priors": [prior.distribution for prior in learnt.priors.values()] if frozen else learnt.priors,
        "labels": list(learnt.priors) if frozen else None,
        "seed": about["entropy"],
        "noise": None if isinstance(about.get("noise"), str) else about.get("noise"),
    }
    kept = ("flow", "featurizer", "priors")
    return learnt, {**arguments, **{key: value for key, value in given.items() if key not in kept}}


def _networks(learnt: Learnt, flow: Any, featurizer: Any) -> dict[str, Any]:
    """Flow, featurizer and channels as trained, or as requested if only rounds were saved."""
    about = learnt.about
    if learnt.estimator is None:
        return {
            "flow": about["flow"] or flow,
            "featurizer": about["featurizer"] or featurizer,
            "channels": about["channels"],
        }
    recipes = dict(learnt.estimator.flow.recipe), dict(learnt.estimator.featurizer.recipe)
    n_ensemble = 1
    if recipes[0].get("type") == "ensemble":
        # Further training makes members of the same kind.
        n_ensemble = len(recipes[0]["members"])
        recipes = dict(recipes[0]["members"][0]), dict(recipes[1]["members"][0])
    return {
        "n_ensemble": n_ensemble,
        "flow": {key: value for key, value in recipes[0].items() if key != "n_context"} or flow,
        "featurizer": recipes[1] or featurizer,
        # Complex data have twice as many channels here as for the user, and all are values.
        "channels": None
        if learnt.estimator.data_format.is_complex
        else learnt.estimator.data_format.channels,
    }
