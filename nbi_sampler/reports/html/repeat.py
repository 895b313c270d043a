"""The call that repeats a run, with its keywords and the versions that made the result."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nbi_sampler.reports.html.contents import Contents
from nbi_sampler.reports.html.numbers import LONGEST, shortened
from nbi_sampler.reports.meta_data import describable

__all__ = ["call_of", "settings_of", "versions_of"]

# Keywords of this sampler for place and speed, which do not affect its numbers.
PLACE_AND_SPEED = (
    *("npool", "pool", "resume", "check_point_delta_t", "check_point_plot"),
    *("plot_format", "print_method"),
    *("outdir", "label", "plot"),
)
# These are objects of the script, or numbers.
OBJECTS = ("simulator", "noise", "x_obs", "x_err", "x_mask", "model", "initial_result")
MAYBE_OBJECTS = ("featurizer", "flow")


def call_of(contents: Contents, path: Path | None) -> str:
    """Write the call that makes this result again, with every keyword that affects a number.

    Parts that a result does not hold, such as the likelihood, are an ellipsis with a comment.
    """
    result = contents.result
    name = repr(path.name if path else f"{result.label}_result.json")
    lines = [
        "import bilby",
        "",
        "likelihood = ...  # as in the script of the run; a result does not hold it",
        f"priors = bilby.read_in_result({name}).priors",
        "result = bilby.run_sampler(",
        "    likelihood,",
        "    priors,",
        f"    sampler={str(result.sampler)!r},",
        f"    label={str(result.label)!r},",
    ]
    seed = {"seed": contents.own["seed"]} if "seed" in contents.own else {}
    for keyword, value in {**_keywords(result.sampler_kwargs), **seed}.items():
        # Other samplers may store any values in their keywords, including ones made by the run.
        if keyword not in PLACE_AND_SPEED and value is not None and (contents.of_nbi or _plain(value)):
            lines.append(f"    {_argument(str(keyword), describable(value))}")
    return "\n".join([*lines, ")"])


def settings_of(contents: Contents) -> list[tuple[str, str]]:
    """Every keyword of the sampler with its value."""
    keywords = _keywords(contents.result.sampler_kwargs)
    return [(str(name), shortened(repr(describable(keywords[name])))) for name in sorted(keywords)]


def versions_of(contents: Contents) -> list[tuple[str, str]]:
    """Versions that made the result, including plugins."""
    listed = dict(contents.own.get("versions", {}))
    if not listed and isinstance(contents.result.version, str):
        listed = {"result": contents.result.version}
    for name, plugin in contents.own.get("plugins", {}).items():
        about = plugin if isinstance(plugin, Mapping) else {}
        listed[f"plugin {name}"] = f"{about.get('distribution', '')} {about.get('version', '')}".strip()
    return [(str(name).replace("_", "-"), str(version)) for name, version in listed.items()]


def _keywords(given: Any) -> dict[str, Any]:
    return dict(given) if isinstance(given, Mapping) else {}


def _plain(value: Any) -> bool:
    """Return whether a user wrote a value, rather than the run."""
    short = not isinstance(value, str) or len(value) <= LONGEST // 4
    return isinstance(value, str | bool | int | float | np.number) and short


def _argument(keyword: str, value: Any) -> str:
    """One line of the call; an object of the script, which the result stores by name, is left open."""
    an_object = isinstance(value, str) and (keyword in OBJECTS or (keyword in MAYBE_OBJECTS and "." in value))
    if an_object:
        return f"{keyword}=...,  # {value}, as in the script"
    endless = isinstance(value, float) and not math.isfinite(value)
    return f"{keyword}=float({str(value)!r})," if endless else f"{keyword}={value!r},"
