"""Keywords that are not ours: those that another sampler of bilby takes, and slips of the pen.

Scripts are written for one sampler and run with another, and packages on top of bilby hand the same keywords
to all of them. What any other sampler takes must therefore never stop a run.
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

from nbi_sampler.core.config import SPELLING, SpellingConfig

__all__ = ["NAMES", "nearest_of", "taken_elsewhere"]

_SPELLED = (("simulations", "sims"), ("simulation", "sim"), ("number_of_", "n_"), ("num_", "n_"))

NAMES = frozenset(
    name
    for line in resources.files(__package__).joinpath("other_samplers.txt").read_text("utf-8").splitlines()
    if not line.startswith("#")
    for name in line.split()
)


def taken_elsewhere(names: Iterable[str]) -> set[str]:
    """Find those of some names that another sampler of bilby takes, or took.

    Samplers that are installed are loaded only while a name is not in `NAMES`, those of bilby itself first:
    to load a plugin may take seconds. One that cannot be loaded is passed over.

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


def nearest_of(name: str, valid: Iterable[str], rules: SpellingConfig = SPELLING) -> str | None:
    """Guess the valid name that somebody must have meant who wrote another one, if there is one.

    Either both are spelled alike but for a letter or two, case and separators, or one has all words of the
    other and begins as it does. No name is meant where that of another sampler is closer by far.

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
    if alike >= (elsewhere if elsewhere >= rules.closer else rules.close):
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
    """Return whether words were left out (max_calls) or put at the end (n_effective_samples)."""
    words, own = name.lower().split("_"), valid.lower().split("_")
    left_out = len(words) > 1 and words[0] == own[0] and set(words) < set(own)
    return left_out or (len(own) > 1 and words[: len(own)] == own)


def _of_installed_samplers() -> Iterator[set[str]]:
    """Keywords of one sampler after the other, bilby's own first."""
    by_name = sorted(entry_points(group="bilby.samplers"), key=lambda each: each.name)
    installed = sorted(by_name, key=lambda each: not each.value.startswith("bilby."))
    for entry_point in installed:
        # Plugins run code of others when they are loaded: whatever that raises or says is not the user's.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                yield _keywords_of(entry_point.load())
            except (Exception, SystemExit):
                continue


def _keywords_of(sampler: Any) -> set[str]:
    """Defaults, other names of them, and arguments of the constructors of a sampler class."""
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
    # The property reads signatures of the package that is wrapped, and at most attributes of a run.
    blank = type("Blank", (sampler,), {"__init__": lambda self: None, "__getattr__": lambda self, name: None})
    try:
        return blank().default_kwargs
    except Exception:  # The package that is wrapped is not installed.
        return ()
