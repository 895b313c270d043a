"""Fingerprint of a run: priors, likelihood, keywords that affect the numbers, and versions.

It shows whether a saved run is the same as the current one. Settings that may change between two parts of a
run are left out: speed and place (processes, device, intervals, folders) and targets (`n_effective`,
`max_likelihood_calls`). Surveys compare parts of it, because their rows depend on these too.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from importlib.metadata import version
from typing import Any

import numpy as np
from bilby.core.likelihood import Likelihood
from bilby.core.prior import Constraint, PriorDict
from numpy.typing import NDArray
from torch import nn

from nbi_sampler import __version__
from nbi_sampler.core.config import STORAGE
from nbi_sampler.evaluation.evaluator import Evaluator
from nbi_sampler.forward import ForwardModel
from nbi_sampler.networks.featurizers import FEATURIZERS
from nbi_sampler.networks.flows import FLOWS
from nbi_sampler.networks.training.losses import LOSSES
from nbi_sampler.plugins.manager import CORE, Plugin
from nbi_sampler.plugins.registry import Registry
from nbi_sampler.priors.space import ParameterSpace

__all__ = [
    "RUN_KEYWORDS",
    "described",
    "differences",
    "fingerprint",
    "plugins_at_work",
    "priors_described",
    "settings_as_text",
    "settings_described",
    "versions",
]


RUN_KEYWORDS = (
    *("n_rounds", "n_sims", "loss", "refine", "featurizer", "flow", "simulator", "noise", "x_obs"),
    *("x_err", "x_mask", "vectorized", "training", "model", "initial_result"),
)

# The name of a prior does not affect any number.
LABELS = re.compile(r"""\b(name|latex_label|unit)=('(\\.|[^'\\])*'|"(\\.|[^"\\])*"|None)""")

_REGISTRIES: dict[str, Registry[Any]] = {"featurizer": FEATURIZERS, "flow": FLOWS, "loss": LOSSES}


def fingerprint(
    priors: PriorDict,
    likelihood: Likelihood,
    keywords: Mapping[str, Any],
    use_ratio: bool,
    evaluator: Evaluator,
) -> dict[str, Any]:
    """Values by name that JSON can hold.

    The likelihood is represented by its class and its values at draws from the prior, which change with the
    data or the model. The priors are represented by their text and their values at fixed quantiles.
    ``keywords`` needs a value for each of `RUN_KEYWORDS`. The generator of the evaluator's probes must not
    depend on the seed.
    """
    return {
        **priors_described(priors, evaluator.space),
        "class of the likelihood": f"{type(likelihood).__module__}.{type(likelihood).__qualname__}",
        "values of the likelihood": evaluator.probe_values.tolist(),
        "use_ratio": use_ratio,
        **settings_described(keywords),
        "plugins": [str(plugin) for plugin in plugins_at_work(evaluator.forward, keywords)],
        **versions(),
    }


def settings_described(keywords: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a fingerprint for keywords: each of `RUN_KEYWORDS` in a form that JSON can hold."""
    training = {key: value for key, value in (keywords["training"] or {}).items() if key != "n_threads"}
    return {name: described(keywords[name]) for name in RUN_KEYWORDS} | {"training": described(training)}


def settings_as_text(
    keywords: Mapping[str, Any], use_ratio: bool, priors: PriorDict, space: ParameterSpace
) -> dict[str, str]:
    """Settings that affect the numbers, as JSON by name, because HDF5 has neither None nor nested values.

    Of the priors, only constraints are included, because a result holds everything else.
    """
    settings = {**settings_described(keywords), "use_ratio": use_ratio}
    settings |= constraints_described(priors, space)
    return {name: json.dumps(value, sort_keys=True) for name, value in settings.items()}


def priors_described(priors: PriorDict, space: ParameterSpace) -> dict[str, Any]:
    """The part of a fingerprint that represents priors: their text and their values at fixed quantiles."""
    return {
        **{f"prior of {name}": _without_addresses(repr(prior)) for name, prior in sorted(priors.items())},
        "quantiles of the priors": space.signature().ravel().tolist(),
        **constraints_described(priors, space),
    }


def constraints_described(priors: PriorDict, space: ParameterSpace) -> dict[str, list[float]]:
    """Values of the constrained quantities at fixed points, and 0 or 1 for points that bilby allows.

    Empty if nothing is constrained. A ``Constraint`` depends on its limits and on the conversion function of
    the priors, which has no text. The order of the parameters does not matter.
    """
    names = sorted(name for name, prior in priors.items() if isinstance(prior, Constraint))
    if not names and type(priors).evaluate_constraints is PriorDict.evaluate_constraints:
        return {}
    space = ParameterSpace(priors, tuple(sorted(space.names)))
    points = space.to_theta(np.random.default_rng(0).normal(size=(STORAGE.n_constrained, space.n_dim)))
    values = [float(np.all(priors.evaluate_constraints(space.row(point)))) for point in points]
    for made in (priors.conversion_function(space.row(point)) for point in points) if names else ():
        values += [_number(made.get(name)) for name in names]
    return {"conversion to the constraints": values}


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def versions() -> dict[str, str]:
    """The part of a fingerprint that represents the packages that affect the numbers."""
    # Builds of one version for different hardware differ after the plus sign.
    others = {f"version of {name}": version(name).split("+")[0] for name in ("bilby", "numpy", "torch")}
    return {"version of nbi_sampler": __version__, **others}


def differences(saved: Mapping[str, Any], present: Mapping[str, Any]) -> list[str]:
    """Names of the entries in which two fingerprints differ, with both values if these are short.

    Examples
    --------
    >>> differences({"n_sims": 800, "priors": [0.5]}, {"n_sims": 900, "priors": [0.5]})
    ['n_sims (800, now 900)']
    """
    names = [*present, *(name for name in saved if name not in present)]
    return [
        _named(name, saved, present)
        for name in names
        if not _same(_unlabelled(name, saved.get(name)), _unlabelled(name, present.get(name)))
    ]


def _unlabelled(name: str, value: Any) -> Any:
    return LABELS.sub("", value) if name.startswith("prior of ") and isinstance(value, str) else value


def _same(first: Any, second: Any) -> bool:
    if not (isinstance(first, list) and isinstance(second, list) and len(first) == len(second)):
        return bool(first == second)
    if not all(isinstance(each, int | float) for each in (*first, *second)):
        return first == second
    return bool(np.allclose(first, second, rtol=STORAGE.tolerance, atol=STORAGE.tolerance, equal_nan=True))


def _named(name: str, saved: Mapping[str, Any], present: Mapping[str, Any]) -> str:
    before, now = (repr(values.get(name)) for values in (saved, present))
    return f"{name} ({before}, now {now})" if len(before) + len(now) < 120 else name


def described(value: Any) -> Any:
    """Convert a keyword's value for JSON: arrays by a digest, networks by their shapes, functions by name."""
    if isinstance(value, Mapping):
        return {str(key): described(each) for key, each in sorted(value.items())}
    if isinstance(value, nn.Module):
        shapes = [f"{name} {tuple(each.shape)}" for name, each in value.named_parameters()]
        return f"{type(value).__qualname__}: {', '.join(shapes)}"
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple) or hasattr(value, "__array__"):
        array = _as_numbers(value)
        if array is not None:
            return f"shape {array.shape}, digest {hashlib.sha256(array.tobytes()).hexdigest()[:16]}"
        if isinstance(value, list | tuple) or getattr(value, "ndim", None):
            return [described(each) for each in value]
    if isinstance(value, partial):
        return [described(each) for each in (value.func, value.args, value.keywords)]
    kind = value if callable(value) and hasattr(value, "__qualname__") else type(value)
    return f"{kind.__module__}.{kind.__qualname__}"


def _as_numbers(value: Any) -> NDArray[Any] | None:
    """Convert to an array of numbers; None for anything else, such as ragged arrays, text and settings."""
    try:
        array = np.asarray(value)
    # Ragged lists and tensors with gradients each raise different errors.
    except Exception:
        return None
    return array if array.dtype.kind in "biufc" else None


def _without_addresses(text: str) -> str:
    return re.sub(r" at 0x[0-9a-fA-F]+", "", text)


def plugins_at_work(forward: ForwardModel | None, keywords: Mapping[str, Any]) -> tuple[Plugin, ...]:
    """Plugins that made the forward model or that offer names in the keywords, in order of name.

    Parameters
    ----------
    forward : ForwardModel, optional
    keywords : mapping of str to object
        Holds ``featurizer``, ``flow`` and ``loss``, as for the sampler.
    """
    found = set() if forward is None else set(forward.plugins)
    for keyword, registry in _REGISTRIES.items():
        offers = registry.offers()
        found |= {offers[name][0] for name in _names(keywords[keyword]) if name in offers}
    return tuple(sorted(found - {CORE}, key=lambda plugin: plugin.name))


def _names(keyword: Any) -> Iterator[str]:
    """Names in a keyword, which may be a dictionary with nested dictionaries."""
    if isinstance(keyword, str):
        yield keyword
    elif isinstance(keyword, Mapping):
        yield from _names((keyword.get("type"), keyword.get("parts")))
    elif isinstance(keyword, Sequence):
        for part in keyword:
            yield from _names(part)
