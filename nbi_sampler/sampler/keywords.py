"""Keywords of the sampler, converted from all accepted forms to checked settings.

They are checked before anything else, so that a mistake costs no likelihood call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
import torch

from nbi_sampler.core.config import SnpeConfig, TrainingConfig, build
from nbi_sampler.core.config.building import require, require_count
from nbi_sampler.networks.devices import find_device, thread_count
from nbi_sampler.networks.featurizers import featurizer_factory
from nbi_sampler.networks.flows import flow_factory, refinement_flows
from nbi_sampler.networks.training.losses import LOSSES
from nbi_sampler.reports.plots.style import plot_formats
from nbi_sampler.reports.progress import print_interval
from nbi_sampler.sampler.other_samplers import nearest_of, taken_elsewhere
from nbi_sampler.sampler.values import as_meant, by_our_names

__all__ = ["DEFAULTS", "Settings", "read_settings", "translate"]

_SNPE = {field.name: field.default for field in fields(SnpeConfig)}

DEFAULTS: dict[str, Any] = {
    **_SNPE,
    "featurizer": "auto",
    "flow": "maf",
    "simulator": None,
    "noise": None,
    "x_obs": None,
    "x_err": None,
    "x_mask": None,
    "vectorized": "auto",
    "training": None,
    "device": "auto",
    "npool": 1,
    "pool": None,
    "resume": True,
    "check_point_delta_t": 600,
    "check_point_plot": False,
    "plot_format": "png",
    "print_method": "tqdm",
    "model": None,
    "initial_result": None,
}

_AS_GIVEN = (
    *("simulator", "noise", "x_obs", "model", "initial_result", "x_err", "x_mask"),
    *("vectorized", "resume", "print_method"),
)
# Keywords, each with others of which one is required.
COMPANIONS = {
    "noise": ("simulator",),
    "x_obs": ("simulator", "model"),
    "x_err": ("model",),
    "x_mask": ("model",),
}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Checked keywords, by their own names; the user's objects are unchanged.

    Attributes
    ----------
    snpe : SnpeConfig
        The seed, which is drawn if none was given.
    training : dict
        Fields of `TrainingConfig` that are changed.
    refinement_flows : tuple of callable
        See `rounds.Networks`.
    threads : callable
        Threads of torch during training and sampling, for data of so many numbers.
    check_point_delta_t : float
        Interval in seconds.
    plot_format : tuple of str
        File formats of plots.
    """

    snpe: SnpeConfig
    training: dict[str, Any]
    featurizer: Callable[..., Any]
    flow: Callable[..., Any]
    refinement_flows: tuple[Callable[..., Any], ...]
    simulator: Any
    noise: Any
    x_obs: Any
    model: Any
    initial_result: Any
    x_err: Any
    x_mask: Any
    vectorized: Literal["auto"] | bool
    device: torch.device
    threads: Callable[[int], int]
    npool: int
    resume: bool
    check_point_delta_t: float
    plot_format: tuple[str, ...]
    print_method: str | None


def translate(
    keywords: Mapping[str, Any], equivalents: Mapping[str, Iterable[str]]
) -> tuple[dict[str, Any], list[str], list[str]]:
    """Give keywords their own names, and convert their values to the right types and meanings.

    ``equivalents`` are other names of a keyword; see `values.by_our_names`.

    Returns
    -------
    dict of str to object
        Only names of `DEFAULTS`.
    list of str
        Names that other samplers take and that have no meaning here.
    list of str
        Names that no sampler takes.

    Raises
    ------
    TypeError
        If no sampler takes a name and its spelling is close to one of ours.
    """
    names = by_our_names(keywords, equivalents)
    strange = set(names) - set(DEFAULTS)
    foreign = taken_elsewhere(strange)
    unknown = sorted(strange - foreign)
    synonyms = {other for others in equivalents.values() for other in others if "_" in other}
    meant = {name: nearest_of(name, {*DEFAULTS, *synonyms}) for name in unknown}
    slips = [f"{name!r}: did you mean {own!r}?" for name, own in meant.items() if own]
    if slips:
        raise TypeError(f"sampler 'nbi': unknown keyword(s) {'; '.join(slips)}")
    own = {name: value for name, value in names.items() if name not in strange}
    return as_meant(own, DEFAULTS), sorted(foreign), unknown


def read_settings(keywords: Mapping[str, Any]) -> Settings:
    """Check the keywords of a run, which has a value from `translate` for every name of `DEFAULTS`.

    Raises
    ------
    ValueError, TypeError
        For the first keyword that cannot be used; the message says what was expected and what was given.
    """
    given = dict(keywords)
    if given["seed"] is None:
        given["seed"] = int(np.random.SeedSequence().generate_state(1)[0])
    snpe = SnpeConfig(**{name: given[name] for name in _SNPE})
    LOSSES.named(snpe.loss)
    flow = given["flow"]
    training = given["training"] or {}
    require(isinstance(training, Mapping), "training", "a dictionary of training settings", training)
    build(TrainingConfig, training, "training")
    _check_switches(given)
    _check_company(given)
    return Settings(
        snpe=snpe,
        training=dict(training),
        featurizer=featurizer_factory(given["featurizer"]),
        flow=flow_factory(flow),
        refinement_flows=refinement_flows(flow),
        **{name: given[name] for name in _AS_GIVEN},
        device=find_device(given["device"]),
        threads=lambda n_numbers: training.get("n_threads") or thread_count(given["featurizer"], n_numbers),
        npool=given["npool"] or 1,
        check_point_delta_t=float(given["check_point_delta_t"]),
        plot_format=plot_formats(given["plot_format"]),
    )


def _check_switches(given: Mapping[str, Any]) -> None:
    print_interval(given["print_method"])
    for name in ("resume", "check_point_plot"):
        require(isinstance(given[name], bool), name, "True or False", given[name])
    vectorized, seconds, npool = given["vectorized"], given["check_point_delta_t"], given["npool"]
    known = isinstance(vectorized, bool) or vectorized == "auto"
    require(known, "vectorized", "'auto', True or False", vectorized)
    number = isinstance(seconds, int | float) and not isinstance(seconds, bool) and seconds >= 0
    require(number, "check_point_delta_t", "a number of seconds, at least 0", seconds)
    if npool is not None:
        require_count("npool", npool)


def _check_company(given: Mapping[str, Any]) -> None:
    """Refuse a keyword that has no meaning without another one."""
    for name, companions in COMPANIONS.items():
        alone = all(given[companion] is None for companion in companions)
        needed = " or ".join(f"{companion}=" for companion in companions)
        require(given[name] is None or not alone, name, f"None without {needed} (pass that too)", given[name])
    both = given["model"] is not None and given["initial_result"] is not None
    require(
        not both, "initial_result", "None together with model= (a run has one start)", given["initial_result"]
    )
