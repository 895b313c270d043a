"""Unknown keywords: those of another bilby sampler, and misspelt ones.

Scripts that are written for one sampler are run with another, and packages that use bilby pass the same
keywords to all samplers. A keyword of another sampler must therefore never stop a run.
"""

from __future__ import annotations

import difflib
import inspect
import re
import warnings
from collections.abc import Iterable, Iterator
from importlib import resources
from importlib.metadata import entry_points
from typing import Any

from nbi_sampler.core.config import SPELLING

__all__ = ["NAMES", "nearest_of", "taken_elsewhere"]

_SPELLED = (("simulations", "sims"), ("simulation", "sim"), ("number_of_", "n_"), ("num_", "n_"))

NAMES = frozenset(
    name
    for line in resources.files(__package__).joinpath("other_samplers.txt").read_text("utf-8").splitlines()
    if not line.startswith("#")
    for name in line.split()
)


def taken_elsewhere(names: Iterable[str]) -> set[str]:
    """Find the names that another bilby sampler takes, or used to take.

    Installed samplers are loaded, bilby's own first, only while a name is not in `NAMES`, because loading a
    plugin may take seconds. A sampler that cannot be loaded is skipped.

    Examples
    --------
    >>> sorted(taken_elsewhere(["nlive", "nwalkers"]))
    ['nlive', 'nwalkers']
    """
    wanted = set(names)
    found = wanted & NAMES
    if wanted - found:
        for taken in _of_installed_samplers():
            found |= wanted & taken
            if found == wanted:
                break
    return found


def nearest_of(name: str, valid: Iterable[str]) -> str | None:
    """Guess the valid name that was meant by another one, if there is one.

    Two names match if their spelling agrees except for a letter or two, case and separators, or if one has
    all words of the other and the same beginning. There is no match if a name of another sampler is much
    closer.

    Examples
    --------
    >>> nearest_of("n_efective", ["n_effective", "n_rounds"])
    'n_effective'
    >>> nearest_of("nwalker", ["n_effective", "n_rounds"]) is None
    True
    """
    valid = sorted(valid)
    alike, nearest = max((_likeness(name, each), each) for each in valid)
    elsewhere = max(_likeness(name, each) for each in NAMES)
    if alike >= (elsewhere if elsewhere >= SPELLING.closer else SPELLING.close):
        return nearest
    return next((each for each in valid if _shortened(name, each)), None)


def _likeness(name: str, other: str) -> float:
    return difflib.SequenceMatcher(None, _spelling(name), _spelling(other)).ratio()


def _spelling(name: str) -> str:
    name = name.lower()
    for long, short in _SPELLED:
        name = name.replace(long, short)
    return re.sub(r"[\W_]", "", name)


def _shortened(name: str, valid: str) -> bool:
    """Return whether words are missing (max_calls) or were added at the end (n_effective_samples)."""
    words, own = name.lower().split("_"), valid.lower().split("_")
    left_out = len(words) > 1 and words[0] == own[0] and set(words) < set(own)
    return left_out or (len(own) > 1 and words[: len(own)] == own)


def _of_installed_samplers() -> Iterator[set[str]]:
    """Yield the keywords of one sampler after the other, bilby's own first."""
    found = entry_points(group="bilby.samplers")
    for entry_point in sorted(found, key=lambda each: (not each.value.startswith("bilby."), each.name)):
        # Loading a plugin runs its code. The user should not see its errors and messages.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                yield _keywords_of(entry_point.load())
            except (Exception, SystemExit):
                continue


def _keywords_of(sampler: Any) -> set[str]:
    """Defaults of a sampler class, their other names, and arguments of its constructors."""
    names = set(_default_keywords(sampler))
    for attribute in dir(sampler):
        if attribute.endswith("_equiv_kwargs"):
            names.update(getattr(sampler, attribute))
    for each in inspect.getmro(sampler):
        constructor = vars(each).get("__init__")
        if inspect.isfunction(constructor):
            names.update(inspect.signature(constructor).parameters)
    return names


def _default_keywords(sampler: Any) -> Iterable[str]:
    defaults = sampler.default_kwargs
    if not isinstance(defaults, property):
        return defaults
    # The property reads signatures of the wrapped package, and at most attributes of a run.
    blank = type("Blank", (sampler,), {"__init__": lambda self: None, "__getattr__": lambda self, name: None})
    try:
        return blank().default_kwargs
    except Exception:  # The wrapped package is not installed.
        return ()
