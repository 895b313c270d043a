"""Arguments of the authors' package nbi, which are translated, ignored or refused.

A script for nbi works after a change of its import, or stops with a sentence that says what to change.
"""

from __future__ import annotations

import copy
import functools
import inspect
import logging
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

__all__ = ["METHODS", "FormerMethods", "understands"]

Function = TypeVar("Function", bound=Callable[..., Any])

# The logger of the sampler, whose lines users see.
logger = logging.getLogger("bilby")

# For each method, arguments with another name here and the same meaning.
RENAMED = {"predict": {"x": "x_obs"}, "sample": {"x": "x_obs", "n": "n_samples"}}

# Settings of the training, which `fit` takes in a mapping.
TRAINING = {
    "batch_size": "batch_size",
    "lr": "learning_rate",
    "f_val": "validation_share",
    "early_stop_patience": "patience",
}

# For each method, arguments without effect here, and the reason.
IDLE = {
    "__init__": {
        "path": "no folder is needed; fit(store=) keeps simulations in a file, and save() the networks",
        "tqdm_notebook": "progress knows a notebook by itself",
    },
    "fit": {
        "workers": "no process loads data; NBI(n_jobs=) says how many simulate",
        "project": "there is no project; see docs/progress.md for trackers",
        "y_true": "nothing is plotted; pass truths to corner.corner",
        "min_lr": "the learning rate ends near zero by itself",
    },
    "predict": {"y_true": "nothing is plotted; pass truths to corner.corner"},
    "sample": {"y": "nothing is plotted; pass truths to corner.corner"},
}

_LIKELIHOOD = (
    "pass log_likelihood=, a function (x, y, observation) of arrays of simulations and of their parameters; "
    "no file is read"
)
_PLOT = "pass samples and weights to corner.corner(samples, weights=weights)"
# For each method and argument, values that ask for what happens here anyway, and the remedy for other values.
REFUSED: dict[str, dict[str, tuple[tuple[Any, ...], str]]] = {
    "__init__": {
        "state_dict": ((None,), "write a file by engine.save(path), and read it by NBI.load(path)"),
        "network_reinit": ((False, True), ""),
        "scale_reinit": ((True, False), ""),
    },
    "fit": {
        "log_like": ((None,), _LIKELIHOOD),
        "n_reuse": ((0,), "pass loss='apt', which learns from the simulations of all rounds"),
        "use_wandb": (
            (False,),
            "pass on_epoch=, a function of epoch and losses, or install a tracker plugin",
        ),
        "neff_stop": (
            (-1, None),
            "run bilby.run_sampler(..., sampler='nbi', n_effective=), which stops there",
        ),
        "f_accept_min": (
            (-1, None),
            "run bilby.run_sampler(..., sampler='nbi'), which ends rounds by itself, or pass fewer n_rounds",
        ),
        "early_stop_train": ((True, False), ""),
        "decay_type": (("SGDR", None), "leave it out: the learning rate rises and falls once"),
        "plot": ((True, False), ""),
    },
    "predict": {
        "log_like": ((None,), _LIKELIHOOD),
        "corner": ((False,), _PLOT),
        "corner_reweight": ((False,), _PLOT),
        "n_max": ((None,), "pass n_samples="),
    },
    "sample": {"corner": ((False,), _PLOT)},
}

# Methods and attributes of nbi's engine, and what to use instead.
METHODS = {
    "best_params": "save(path) writes the networks of the best epoch, NBI.load(path) reads them",
    "save_params": "save(path)",
    "get_network": "estimator_",
    "result": "sequential_.samples and sequential_.weights",
    "corner": "corner.corner(samples, weights=weights)",
    "weighted_corner": "corner.corner(samples, weights=weights)",
    "simulate": "the simulator; training_set_ keeps simulations",
    "log_like": "infer(...), whose results have log_likelihood",
    "log_prob": "score(x, y), or estimator_.log_ratio",
    "log_prior": "the priors",
    "neff": "sequential_.records, or the ess of infer(...)",
    "weights": "the weights that predict returns, or sequential_.weights",
    "train_losses": "training_info_.training",
    "val_losses": "training_info_.validation",
    "x_all": "training_set_.x",
    "y_all": "training_set_.theta, or sequential_.samples",
}


class FormerMethods:
    """A base class whose errors say what replaces a method of the authors' package."""

    def __getattr__(self, name: str) -> Any:
        """Raise an error with the replacement; Python calls this only for missing attributes."""
        remedy = f"; of nbi's engine, here: {METHODS[name]}" if name in METHODS else ""
        raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}{remedy}")


def understands(method: str) -> Callable[[Function], Function]:
    """Make a decorator that lets a method take the arguments of the authors' package too.

    Parameters
    ----------
    method : {"__init__", "fit", "predict", "sample"}

    Notes
    -----
    ``noise=`` of ``fit`` becomes the noise of the engine. ``seed=`` of ``predict`` is the seed of the draws.
    With ``neff_min=``, ``predict`` draws enough samples of a target for this effective sample size, if the
    efficiency is above ``f_accept_min``.
    """

    def decorate(function: Function) -> Function:
        own = set(inspect.signature(function).parameters)

        @functools.wraps(function)
        def understanding(self: Any, *args: Any, **kwargs: Any) -> Any:
            former = {name: value for name, value in kwargs.items() if name not in own}
            given = {name: value for name, value in kwargs.items() if name in own}
            if method == "fit":
                _refuse_paths(given.get("x"))
            if not former:
                return function(self, *args, **given)
            given.update(_translated(method, former, given))
            if "noise" in former and method == "fit":
                self.set_params(noise=former.pop("noise"))
            engine = _seeded(self, former.pop("seed", None)) if method == "predict" else self
            wanted, least = former.pop("neff_min", 0), former.pop("f_accept_min", 0.001)
            found = function(engine, *args, **given)
            if method == "predict" and wanted:
                return _enough(functools.partial(function, engine, *args), given, found, wanted, least)
            return found

        return understanding  # type: ignore[return-value]

    return decorate


def _translated(method: str, former: dict[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Translate arguments, and remove them from ``former``, which keeps those that the caller handles."""
    remaining = {"fit": {"noise"}, "predict": {"seed", "neff_min", "f_accept_min"}}.get(method, set())
    made: dict[str, Any] = {}
    training = dict(given.get("training") or {})
    for name in [name for name in former if name not in remaining]:
        value = former.pop(name)
        if name in RENAMED.get(method, {}):
            made[RENAMED[method][name]] = value
        elif method == "fit" and name in TRAINING:
            if name != "early_stop_patience" or value > 0:
                training.setdefault(TRAINING[name], value)
        elif name in IDLE.get(method, {}):
            logger.info("%s: without effect, as %s", name, IDLE[method][name])
        elif name in REFUSED.get(method, {}):
            _check_value(name, value, *REFUSED[method][name])
        else:
            raise TypeError(f"{method}() got an unexpected keyword argument {name!r}")
    return {**made, "training": training} if training else made


def _check_value(name: str, value: Any, allowed: tuple[Any, ...], remedy: str) -> None:
    """Raise an error for a value that is not allowed."""
    if not any(value is each or (np.isscalar(value) and value == each) for each in allowed):
        shown = f"{value!r}" if isinstance(value, str | int | float) else type(value).__name__
        raise TypeError(
            f"{name}: an argument of the package nbi that does not exist here, got {shown}; {remedy}"
        )


def _refuse_paths(x: Any) -> None:
    first = x[0] if isinstance(x, list | tuple | np.ndarray) and len(x) else None
    if isinstance(first, str | os.PathLike) and str(first).endswith(".npy"):
        raise TypeError(
            "x: expected simulations, got the paths of files; load them, "
            "x=np.stack([np.load(path) for path in paths])"
        )


def _seeded(engine: Any, seed: int | None) -> Any:
    """Return a copy of the engine with another seed for its draws."""
    if seed is None:
        return engine
    other = copy.copy(engine)
    other._setup = replace(engine._setup, entropy=int(seed))
    return other


def _enough(
    predict: Callable[..., Any], given: dict[str, Any], found: Any, wanted: float, least: float
) -> Any:
    """Draw enough samples for the effective sample size ``wanted``, if the efficiency allows it."""
    weights = found[1]
    if weights.ndim > 1:
        raise ValueError("neff_min: expected one target, got several; pass n_samples= for these")
    ess = 1.0 / float(np.square(weights).sum())
    if not ess < wanted or not ess / len(weights) > least:
        return found
    # A tenth more, because the efficiency is uncertain.
    n_samples = math.ceil(1.1 * wanted * len(weights) / ess)
    return predict(**{**given, "n_samples": n_samples})
