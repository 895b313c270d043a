"""Keywords of the sampler, from what a user, bilby or bilby_pipe may write to checked settings.

Called by the sampler before anything else, so that a mistake costs no likelihood call.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
import torch

from nbi_sampler.coercion import coerced
from nbi_sampler.config import SnpeConfig, TrainingConfig, build, nearest
from nbi_sampler.featurizers import featurizer_factory
from nbi_sampler.flows import flow_factory
from nbi_sampler.progress import print_interval

__all__ = ["DEFAULTS", "IGNORED", "Settings", "read_settings", "translate"]

_SNPE = {field.name: field.default for field in fields(SnpeConfig)}

DEFAULTS: dict[str, Any] = {
    **_SNPE,
    "featurizer": "auto",
    "flow": "maf",
    "simulator": None,
    "noise": None,
    "x_obs": None,
    "vectorized": "auto",
    "training": None,
    "device": "auto",
    "npool": 1,
    "pool": None,
    "resume": True,
    "check_point_delta_t": 600,
    "check_point_plot": False,
    "print_method": "tqdm",
    "model": None,
}

# What bilby_pipe hands to every sampler (the defaults of dynesty), and what scripts written for dynesty say.
IGNORED = frozenset(
    {
        *(
            "act",
            "bootstrap",
            "bound",
            "check_point",
            "dlogz",
            "enlarge",
            "facc",
            "maxcall",
            "maxiter",
            "maxmcmc",
        ),
        *("nact", "naccept", "n_check_point", "nestcheck", "print_progress", "proposals"),
        *("rejection_sample_posterior", "rstagger", "rstate", "sample", "slices", "verbose"),
    }
)

_SMALL_FEATURIZERS = ("auto", "pca", "svd", "mlp")
_MOST_THREADS = 4


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Checked keywords.

    Attributes
    ----------
    snpe : SnpeConfig
        With a seed, drawn afresh where none was given.
    training : dict
        Fields of `TrainingConfig` to change.
    featurizer, flow : callable
    refinement_flows : tuple of callable
        See `fitting.Networks`.
    simulator, noise, x_obs : object
        As given; `forward.UserModel` checks them.
    vectorized : bool or "auto"
    device : torch.device
    n_threads : int
        For torch.
    npool : int
    resume : bool
    check_point_delta_t : float
        Seconds.
    print_method : str or None
    """

    snpe: SnpeConfig
    training: dict[str, Any]
    featurizer: Callable[..., Any]
    flow: Callable[..., Any]
    refinement_flows: tuple[Callable[..., Any], ...]
    simulator: Any
    noise: Any
    x_obs: Any
    vectorized: Literal["auto"] | bool
    device: torch.device
    n_threads: int
    npool: int
    resume: bool
    check_point_delta_t: float
    print_method: str | None


def translate(
    keywords: Mapping[str, Any], equivalents: Mapping[str, Iterable[str]], ignored: Iterable[str] = ()
) -> tuple[dict[str, Any], list[str]]:
    """Give keywords their own names and their values their types.

    Parameters
    ----------
    keywords : mapping of str to object
    equivalents : mapping of str to iterable of str
        Other names of a keyword; where both are there, its own name counts.
    ignored : iterable of str
        Names to leave out, besides `IGNORED`.

    Returns
    -------
    dict of str to object
        Only names of `DEFAULTS`.
    list of str
        Names that mean nothing here and were left out.

    Raises
    ------
    TypeError
        For an unknown name.
    """
    names = dict(keywords)
    for own, others in equivalents.items():
        for other in others:
            if other != own and other in names:
                value = names.pop(other)
                names.setdefault(own, value)
    left_out = sorted((IGNORED | set(ignored)) & (set(names) - set(DEFAULTS)))
    unknown = sorted(set(names) - set(DEFAULTS) - set(left_out))
    if unknown:
        hints = "; ".join(f"{name!r}: {nearest(name, DEFAULTS)}" for name in unknown)
        raise TypeError(f"sampler 'nbi': unknown keyword(s) {hints}")
    return {name: coerced(name, value) for name, value in names.items() if name not in left_out}, left_out


def read_settings(keywords: Mapping[str, Any]) -> Settings:
    """Check the keywords of a run.

    Parameters
    ----------
    keywords : mapping of str to object
        A value for every name of `DEFAULTS`, as `translate` gives them.

    Raises
    ------
    ValueError, TypeError
        For the first that cannot be used; says what was expected and what was given.
    """
    given = dict(keywords)
    if given["seed"] is None:
        given["seed"] = int(np.random.SeedSequence().generate_state(1)[0])
    snpe = SnpeConfig(**{name: given[name] for name in _SNPE})
    flow = given["flow"]
    training = given["training"] or {}
    _expect(isinstance(training, Mapping), "training", "a dictionary of training settings", training)
    build(TrainingConfig, training, "training")
    _check_switches(given)
    if given["simulator"] is None:
        for name in ("noise", "x_obs"):
            _expect(given[name] is None, name, "None without a simulator; pass simulator= too", given[name])
    return Settings(
        snpe=snpe,
        training=dict(training),
        featurizer=featurizer_factory(given["featurizer"]),
        flow=flow_factory(flow),
        refinement_flows=_refinement_flows(flow),
        simulator=given["simulator"],
        noise=given["noise"],
        x_obs=given["x_obs"],
        vectorized=given["vectorized"],
        device=_device(given["device"]),
        n_threads=training.get("n_threads") or _n_threads(given["featurizer"]),
        npool=given["npool"] or 1,
        resume=given["resume"],
        check_point_delta_t=float(given["check_point_delta_t"]),
        print_method=given["print_method"],
    )


def _refinement_flows(flow: object) -> tuple[Callable[..., Any], ...]:
    """Unconditional flows: the user's where it can be made without a condition, else the usual ones."""
    if isinstance(flow, Mapping) or (isinstance(flow, str) and flow != DEFAULTS["flow"]):
        return (flow_factory(flow),)
    return tuple(flow_factory({"type": "maf", "num_blocks": n_blocks}) for n_blocks in (1, 2))


def _check_switches(given: Mapping[str, Any]) -> None:
    print_interval(given["print_method"])
    for name in ("resume", "check_point_plot"):
        _expect(isinstance(given[name], bool), name, "True or False", given[name])
    vectorized, seconds, npool = given["vectorized"], given["check_point_delta_t"], given["npool"]
    _expect(
        isinstance(vectorized, bool) or vectorized == "auto",
        "vectorized",
        "'auto', True or False",
        vectorized,
    )
    number = isinstance(seconds, int | float) and not isinstance(seconds, bool) and seconds > 0
    _expect(number, "check_point_delta_t", "a positive number of seconds", seconds)
    count = isinstance(npool, int) and not isinstance(npool, bool) and npool >= 1
    _expect(npool is None or count, "npool", "an integer of at least 1, or None", npool)
    _expect(
        given["model"] is None,
        "model",
        "None: this version cannot start from a trained model",
        given["model"],
    )


def _expect(condition: bool, argument: str, expected: str, got: object) -> None:
    if not condition:
        raise ValueError(f"{argument}: expected {expected}; got {got!r}")


def _device(device: object) -> torch.device:
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        found = torch.device(device)  # type: ignore[call-overload]
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"device: expected 'auto', 'cpu', 'cuda' or 'cuda:1', got {device!r}") from error
    if found.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            f"device: expected one that torch can use, got {device!r} without CUDA; use 'auto' or 'cpu'"
        )
    return found


def _n_threads(featurizer: object) -> int:
    """Threads for torch: small networks are bound by dispatch and gain nothing from a second one."""
    name = featurizer.get("type", "auto") if isinstance(featurizer, Mapping) else featurizer
    if isinstance(name, str) and name in _SMALL_FEATURIZERS:
        return 1
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(usable, _MOST_THREADS)
