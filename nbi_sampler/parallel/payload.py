"""The problem as bytes for other processes, or an error that says what in it cannot be sent.

Called by `pools`, once a run.
"""

from __future__ import annotations

import hashlib

import cloudpickle

from nbi_sampler.evaluation.batch import WorkerError
from nbi_sampler.evaluation.calls import Calls

__all__ = ["packed"]

DEEPEST = 6


def packed(problem: Calls) -> tuple[str, bytes]:
    """A problem for processes that do not inherit it.

    Functions and classes of a script or a notebook, and closures, are sent with their code; those of modules
    by name, so that the other side must be able to import them.

    Parameters
    ----------
    problem : Calls

    Returns
    -------
    digest : str
    payload : bytes

    Raises
    ------
    WorkerError
        Where it cannot be pickled; names the culprit.
    """
    try:
        payload = cloudpickle.dumps(problem)
    # Objects of the user decide what this raises.
    except Exception as error:
        found = (
            _culprit(problem.log_likelihood, "likelihood")
            or _culprit(problem.forward, "forward model")
            or "something in it"
        )
        raise WorkerError(
            f"npool, pool: expected a likelihood that can be sent to another process, but {found} cannot be "
            f"pickled ({type(error).__name__}: {error}); make it where it is used, leave it out in "
            "__getstate__, or use npool= with the start method 'fork', which sends nothing"
        ) from error
    return hashlib.sha256(payload).hexdigest(), payload


def _culprit(value: object, path: str, depth: int = 0) -> str | None:
    """Path and type of the innermost object found that cannot be pickled; None where all can."""
    try:
        cloudpickle.dumps(value)
        return None
    except Exception:
        if depth < DEEPEST:
            for name, part in _parts(value):
                found = _culprit(part, f"{path}{name}", depth + 1)
                if found:
                    return found
    return f"{path} ({type(value).__module__}.{type(value).__qualname__})"


def _parts(value: object) -> list[tuple[str, object]]:
    """What an object holds, each with its name."""
    if isinstance(value, dict):
        return [(f"[{key!r}]", part) for key, part in value.items()]
    if isinstance(value, list | tuple):
        return [(f"[{i}]", part) for i, part in enumerate(value)]
    if getattr(value, "__closure__", None):
        return [("", cell.cell_contents) for cell in value.__closure__]  # type: ignore[attr-defined]
    parts = [("", value.__self__)] if hasattr(value, "__self__") else []
    return parts + [(f".{name}", part) for name, part in getattr(value, "__dict__", {}).items()]
