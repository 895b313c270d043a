"""Likelihood and priors that a user's script defines or passes to ``bilby.run_sampler``."""

from __future__ import annotations

import importlib
import importlib.util
import runpy
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import bilby
from bilby.core.likelihood import Likelihood
from bilby.core.prior import PriorDict

__all__ = ["ScriptError", "defined_in", "is_module", "names_of", "problem_of"]


class ScriptError(ValueError):
    """The script or module does not exist, or it defines no likelihood and priors."""


def problem_of(script: str) -> tuple[Likelihood, PriorDict]:
    """Likelihood and priors of a script, or of a module.

    A script runs under another name than ``__main__``. If it calls ``bilby.run_sampler`` all the same, it
    ends there, and the arguments of the call are used.

    Parameters
    ----------
    script : str
        ``"path/to/script.py"`` or ``"package.module"``.

    Raises
    ------
    ScriptError
        If there is no such file or module, or it defines no likelihood and priors.
    """
    return defined_in(names_of(script, "nbi_script"), script)


def defined_in(names: Mapping[str, Any], script: str) -> tuple[Likelihood, PriorDict]:
    """Likelihood and priors among the names of a script, which is named in errors.

    Raises
    ------
    ScriptError
        If they are missing, or have another type.
    """
    likelihood, priors = names.get("likelihood"), names.get("priors")
    for what, kind, value in (("likelihood", Likelihood, likelihood), ("priors", dict, priors)):
        if not isinstance(value, kind):
            raise ScriptError(
                f"{script}: expected it to define {what!r} of {kind.__module__}.{kind.__qualname__}, got "
                f"{type(value).__name__}; use this name at the level of the module"
            )
    assert isinstance(likelihood, Likelihood) and isinstance(priors, dict)
    return likelihood, priors if isinstance(priors, PriorDict) else PriorDict(priors)


def names_of(script: str, run_name: str) -> dict[str, Any]:
    """Names that a script or a module defines, or passes to bilby.

    Parameters
    ----------
    run_name : str
        Name under which the script runs.

    Raises
    ------
    ScriptError
        If the file or module does not exist.
    """
    path = Path(script)
    with _sampling_ends_the_script() as handed:
        try:
            if path.suffix == ".py" and path.is_file():
                sys.path.insert(0, str(path.resolve().parent))
                return runpy.run_path(str(path), run_name=run_name)
            if path.suffix != ".py" and is_module(script):
                return vars(importlib.import_module(script))
        except _Sampled:
            return handed
    raise ScriptError(f"expected an existing script (.py) or a module, got {script!r}")


def is_module(name: str) -> bool:
    """Return whether a module with this name exists."""
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


class _Sampled(BaseException):
    """Ends a script that starts to sample; not an Exception, which the script might catch."""


@contextmanager
def _sampling_ends_the_script() -> Iterator[dict[str, Any]]:
    handed: dict[str, Any] = {}

    def run_sampler(likelihood: Any, priors: Any = None, *_: Any, **keywords: Any) -> None:
        handed.update(keywords, likelihood=likelihood, priors=priors)
        raise _Sampled

    before = bilby.run_sampler
    holders = (bilby, bilby.core.sampler)
    for holder in holders:
        holder.run_sampler = run_sampler
    try:
        yield handed
    finally:
        for holder in holders:
            holder.run_sampler = before
