"""Conversion of names and values of keywords from users, parsers and other samplers to their meaning.

bilby_pipe turns ``None`` into ``'None'`` and ``[64, 64]`` into strings, also inside dictionaries, and cannot
hold a function. A script that was written for another sampler keeps its meaning: ``seed=-1`` is a random
seed, ``npool=0`` means no processes, and ``resume="overwrite"`` starts again.
"""

from __future__ import annotations

import ast
import importlib
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

__all__ = ["as_meant", "by_our_names", "coerced"]

_IMPORTABLE = ("simulator", "noise", "featurizer", "flow", "x_obs", "x_err", "x_mask")
_COUNTS = ("n_rounds", "n_sims", "max_likelihood_calls", "seed", "npool")
# Names that single samplers use, in addition to those that bilby lists for all of them.
_ALSO = {
    "seed": ("random_state", "rseed", "rstate", "rng", "random"),
    "npool": ("processes", "Nthreads"),
}
_GENERATORS = (np.random.Generator, np.random.RandomState, np.random.SeedSequence)
_RESUME = {"resume": True, "resume-similar": True, "overwrite": False, "subfolder": False}
_PRINT = re.compile(r"tqdm|none|interval-.*")
_POCOMC_FLOW = re.compile(r"(maf|nsf)(3|6|12)")
_NONE_IS_DEFAULT = (
    *("n_effective", "flow", "vectorized", "device", "npool", "check_point_delta_t", "plot_format"),
)


def coerced(name: str, value: Any) -> Any:
    """Convert the value of a keyword: text to literals, paths to objects, numpy's numbers to plain ones.

    Only some keywords accept a dotted path.

    Raises
    ------
    ValueError
        If a dotted path cannot be imported.

    Examples
    --------
    >>> coerced("n_sims", "1e3"), coerced("seed", "None"), coerced("flow", "maf")
    (1000, None, 'maf')
    """
    value = _from_text(name, value.strip()) if isinstance(value, str) else _plain(value)
    if name in _COUNTS and isinstance(value, float) and value.is_integer():
        value = int(value)
    return value


def _plain(value: Any) -> Any:
    """Convert text to literals at any depth of dictionaries and lists, and numpy's numbers to plain ones."""
    if isinstance(value, str):
        return _literal(value.strip(), value)
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list) and value and all(isinstance(each, str) for each in value):
        text = ", ".join(value)
        return _literal(text if text.startswith("[") else f"[{text}]", value)
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value.item() if isinstance(value, np.generic) else value


def _from_text(name: str, text: str) -> Any:
    value = _literal(text, text)
    if not (name in _IMPORTABLE and isinstance(value, str) and "." in value):
        return value
    module, _, attribute = text.rpartition(".")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(
            f"{name}: expected 'package.module.attribute' to import, got {text!r}: {error}"
        ) from error


def _literal(text: str, otherwise: Any) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return otherwise


def by_our_names(keywords: Mapping[str, Any], equivalents: Mapping[str, Iterable[str]]) -> dict[str, Any]:
    """Convert keywords to our names and types; names that have no meaning here stay unchanged.

    ``equivalents`` are other names of a keyword, without those of single samplers. If several are present,
    the first one that is not None counts, and our own name comes first.

    Examples
    --------
    >>> by_our_names({"random_seed": "3", "seed": None, "nlive": 500}, {"seed": ["random_seed"]})
    {'nlive': 500, 'seed': 3}
    """
    named = dict(keywords)
    for own in {**equivalents, **_ALSO}:
        others = [name for name in equivalents.get(own, ()) if name in named and name != own]
        # These keywords may hold other values than seeds and numbers: the module numpy.random, a key of jax.
        others += [name for name in _ALSO.get(own, ()) if name in named and _is_plain(named[name])]
        values = [coerced(own, named.pop(name)) for name in (own, *others) if name in named]
        if values:
            named[own] = next((value for value in values if value is not None), None)
    return {name: coerced(name, value) for name, value in named.items()}


def as_meant(keywords: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Replace values of other samplers by their meaning; other values stay unchanged.

    ``defaults`` replace None if it is not one of our values.

    Examples
    --------
    >>> as_meant({"seed": -1, "npool": 0, "resume": "overwrite"}, {})
    {'seed': None, 'npool': 1, 'resume': False}
    """
    meant = dict(keywords)
    for name, read in _READERS.items():
        if name in meant:
            meant[name] = read(meant[name])
    _number_for_a_pool(meant)
    for name in _NONE_IS_DEFAULT:
        if name in meant and meant[name] is None:
            meant[name] = defaults[name]
    # dynesty uses this value for no criterion. We need another criterion then, which is the budget.
    if meant.get("n_effective") == math.inf and meant.get("max_likelihood_calls") is None:
        meant["n_effective"] = defaults["n_effective"]
    return meant


def _is_whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _is_plain(value: Any) -> bool:
    return value is None or _is_whole(value) or isinstance(value, (str, float, *_GENERATORS))


def _seed(value: Any) -> Any:
    """For PolyChord and MultiNest, -1 is random; dynesty, nestle and pymc take other types too."""
    if isinstance(value, np.random.Generator):
        return int(value.integers(2**32))
    if isinstance(value, np.random.RandomState):
        return int(value.randint(2**32, dtype=np.uint64))
    if isinstance(value, list | tuple | np.ndarray) and len(value) and all(map(_is_whole, value)):
        value = np.random.SeedSequence([abs(int(each)) for each in value])
    if isinstance(value, np.random.SeedSequence):
        return int(value.generate_state(1)[0])
    return None if _is_whole(value) and value < 0 else value


def _processes(value: Any) -> Any:
    """Fewer than two processes mean none, as in bilby."""
    return max(value, 1) if _is_whole(value) else value


def _number_for_a_pool(meant: dict[str, Any]) -> None:
    """For nautilus and pocomc, a number of processes; for nautilus also a pair, first the likelihood's."""
    pool = meant.get("pool")
    if isinstance(pool, tuple | list) and len(pool) == 2:
        pool = meant["pool"] = pool[0]
    if _is_whole(pool):
        meant["pool"] = None
        if meant.get("npool") in (None, 1):
            meant["npool"] = _processes(pool)


def _resume(value: Any) -> Any:
    """UltraNest uses words for it."""
    return _RESUME.get(value, value) if isinstance(value, str) else _switch(value)


def _switch(value: Any) -> Any:
    """None and 0 are False for bilby's samplers, which only test whether it is true."""
    return bool(value) if value is None or (_is_whole(value) and value in (0, 1)) else value


def _print_method(value: Any) -> Any:
    """For dynesty, any other text asks for lines instead of a bar."""
    return value if not isinstance(value, str) or _PRINT.fullmatch(value) else "interval-10"


def _flow(value: Any) -> Any:
    """For pocomc, the name contains the number of transforms."""
    found = _POCOMC_FLOW.fullmatch(value) if isinstance(value, str) else None
    return {"type": found[1], "num_blocks": int(found[2])} if found else value


_READERS: dict[str, Callable[[Any], Any]] = {
    "seed": _seed,
    "npool": _processes,
    "resume": _resume,
    "check_point_plot": _switch,
    "print_method": _print_method,
    "flow": _flow,
}
