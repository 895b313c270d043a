"""An engine and its file: what is written of its arguments, and what has to be given again.

Called by the engine.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nbi_sampler.amortised.priors import FrozenPrior, priors_from
from nbi_sampler.amortised.saving import Learnt, load_learnt, parameters_in
from nbi_sampler.amortised.setup import qualified_name
from nbi_sampler.settings.devices import find_device

__all__ = ["reopened"]


def reopened(path: str | Path, given: Mapping[str, Any]) -> tuple[Learnt, dict[str, Any]]:
    """Read what an engine has learnt, and the arguments to make the like of it.

    Parameters
    ----------
    path : str or pathlib.Path
    given : mapping
        Arguments that the file cannot hold, or that may be others now.
    """
    priors, flow, featurizer = (given.get(name) for name in ("priors", "flow", "featurizer"))
    device = find_device(given.get("device", "auto"))
    known = None if priors is None else priors_from(priors, parameters_in(path))
    learnt = load_learnt(path, priors=known, featurizer=featurizer, flow=flow, device=device)
    about = learnt.about
    for name in ("simulator", "noise"):
        now = qualified_name(given.get(name))
        if callable(given.get(name)) and now != about.get(name):
            warnings.warn(f"{name}: the engine was trained with {about.get(name)}, got {now}", stacklevel=4)
    frozen = all(isinstance(prior, FrozenPrior) for prior in learnt.priors.values())
    arguments = {
        **_networks(learnt, flow, featurizer),
        # Their simulator takes a vector, and that of a dictionary a mapping.
        "priors": [prior.distribution for prior in learnt.priors.values()] if frozen else learnt.priors,
        "labels": list(learnt.priors) if frozen else None,
        "seed": about["entropy"],
        "noise": None if isinstance(about.get("noise"), str) else about.get("noise"),
    }
    kept = ("flow", "featurizer", "priors")
    return learnt, {**arguments, **{key: value for key, value in given.items() if key not in kept}}


def _networks(learnt: Learnt, flow: Any, featurizer: Any) -> dict[str, Any]:
    """Flow, featurizer and channels: as trained, or as asked for where rounds alone were saved."""
    about = learnt.about
    if learnt.estimator is None:
        return {
            "flow": about["flow"] or flow,
            "featurizer": about["featurizer"] or featurizer,
            "channels": about["channels"],
        }
    recipe = learnt.estimator.flow.recipe
    return {
        "flow": {key: value for key, value in recipe.items() if key != "n_context"} or flow,
        "featurizer": dict(learnt.estimator.featurizer.recipe) or featurizer,
        # Those of complex data are values, and half as many.
        "channels": None if learnt.estimator.layout.is_complex else learnt.estimator.layout.channels,
    }
