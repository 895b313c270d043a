"""Arguments of the authors' package nbi: translated, without effect, or refused with what to use instead.

Scripts for it work with the import changed, or stop with a sentence that says what to change.
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

# The sampler's, whose lines people see.
logger = logging.getLogger("bilby")

# By method: names here of arguments that mean the same.
RENAMED = {"predict": {"x": "x_obs"}, "sample": {"x": "x_obs", "n": "n_samples"}}

# Settings of the training, which `fit` takes as a mapping.
TRAINING = {
    "batch_size": "batch_size",
    "lr": "learning_rate",
    "f_val": "validation_share",
    "early_stop_patience": "patience",
}

# By method and argument: why it has no effect here.
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
# By method and argument: values that ask for nothing else than what happens here, and the remedy for others.
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

# Methods and attributes that engines of that package have: what to use instead.
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
    """Errors that say what to use in place of methods of the authors' package."""

    def __getattr__(self, name: str) -> Any:
        """Say what there is here; only asked for names that an engine does not have."""
        remedy = f"; of nbi's engine, here: {METHODS[name]}" if name in METHODS else ""
        raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}{remedy}")


def understands(method: str) -> Callable[[Function], Function]:
    """Let a method take the arguments of the authors' package too.

    Parameters
    ----------
    method : {"__init__", "fit", "predict", "sample"}

    Notes
    -----
    ``noise=`` of ``fit`` becomes that of the engine. ``seed=`` of ``predict`` is the seed of the draws.
    ``neff_min=`` draws as many samples of one target as have this effective size, where the efficiency is at
    least ``f_accept_min``.
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
    """Arguments of this package; all but those that the caller deals with are taken out of ``former``."""
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
    """Refuse what cannot be done here."""
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
    """The engine with another seed for its draws; the engine itself stays as it is."""
    if seed is None:
        return engine
    other = copy.copy(engine)
    other._setup = replace(engine._setup, entropy=int(seed))
    return other


def _enough(
    predict: Callable[..., Any], given: dict[str, Any], found: Any, wanted: float, least: float
) -> Any:
    """Draw again, as many samples as have the effective size, if that can be."""
    weights = found[1]
    if weights.ndim > 1:
        raise ValueError("neff_min: expected one target, got several; pass n_samples= for these")
    ess = 1.0 / float(np.square(weights).sum())
    if not ess < wanted or not ess / len(weights) > least:
        return found
    # A tenth more, as the efficiency is itself uncertain.
    n_samples = math.ceil(1.1 * wanted * len(weights) / ess)
    return predict(**{**given, "n_samples": n_samples})
