"""A result on disk, compared with the question of the current run.

bilby compares only the names of the parameters. It would return results for other data, priors, settings or
seeds, incomplete results, and results of the sampler that a script used before.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from bilby.core.prior import Constraint, PriorDict
from bilby.core.result import FileLoadError, Result, read_in_result, result_file_name
from numpy.typing import NDArray

from nbi_sampler.core.config import STORAGE
from nbi_sampler.importance.reliability import FINISHED
from nbi_sampler.priors.space import ParameterSpace
from nbi_sampler.reports.meta_data import describable
from nbi_sampler.reports.result import log_prior_density
from nbi_sampler.storage.fingerprint import RUN_KEYWORDS, differences, settings_as_text

__all__ = ["Cached", "Question", "find_result"]


@dataclass(frozen=True, kw_only=True)
class Question:
    """The question that a run is to answer.

    Attributes
    ----------
    priors : bilby.core.prior.PriorDict
    space : ParameterSpace
        The priors.
    log_likelihood : callable
        ``theta of shape (n_dim,) -> float``, in the order of the space; it is called a few times.
    likelihood_data : object
        The likelihood's entry in bilby's meta data.
    keywords : mapping of str to object
        Keywords of the sampler; ``model`` and ``initial_result`` are digests: see `fingerprint.fingerprint`.
    use_ratio : bool
    n_effective : float
    seed : int, optional
        None accepts a result of any seed.
    injection_parameters : dict, optional
    """

    priors: PriorDict
    space: ParameterSpace
    log_likelihood: Callable[[NDArray[Any]], float]
    likelihood_data: Any
    keywords: Mapping[str, Any]
    use_ratio: bool
    n_effective: float
    seed: int | None
    injection_parameters: dict[str, Any] | None


@dataclass(frozen=True, kw_only=True)
class Cached:
    """The result on disk, and whether it answers the question.

    Attributes
    ----------
    result : bilby.core.result.Result, optional
        A result that can be returned. It may lack a posterior, which bilby then makes from its samples.
    path : pathlib.Path
    why_not : str
        Reason why a result on disk is not returned; empty if there is none.
    other_question : bool
        True if the result answers another question, rather than the same one with fewer draws.
    """

    result: Result | None
    path: Path
    why_not: str = ""
    other_question: bool = False


def find_result(outdir: str, label: str, result_class: type[Result] | None, question: Question) -> Cached:
    """Read the result of a label, and compare it with the question.

    It is returned only if its status is "ok" or "poor fit", if it has the required number of effective
    samples, and if problem, settings and seed are the same.
    """
    path = Path(result_file_name(outdir, label))
    # Schedulers make empty files beforehand.
    if not path.is_file() or not path.stat().st_size:
        return Cached(result=None, path=path)
    try:
        cached = read_in_result(filename=str(path), result_class=result_class)
    except (OSError, FileLoadError):
        return Cached(result=None, path=path, why_not="cannot be read")
    # An edited file may lack any part and break the comparison in any way.
    try:
        other = _another(cached, question)
        fewer = None if other else _too_little(cached.meta_data["nbi"], question.n_effective)
        if not other and not fewer:
            return Cached(result=_in_present_order(cached, question), path=path)
    except Exception as error:
        return Cached(result=None, path=path, why_not=f"lacks a part ({type(error).__name__}: {error})")
    why_not = f"was made with another {other}" if other else str(fewer)
    return Cached(result=None, path=path, why_not=why_not, other_question=bool(other))


def _another(cached: Result, question: Question) -> str | None:
    """Name the difference between the question of a result and this one."""
    if cached.sampler != "nbi":
        return f"sampler ({cached.sampler})"
    if sorted(cached.search_parameter_keys) != sorted(question.space.names):
        return "set of parameters"
    if not _alike(_fixed_values(cached), question.space.fixed):
        return "set of fixed parameters"
    if _constraints(cached.priors) != _constraints(question.priors):
        return "set of constraints"
    if differing := _settings_that_differ(cached, question):
        return ", ".join(differing)
    if not _alike(question.likelihood_data, cached.meta_data["likelihood"]):
        return "likelihood (its meta data)"
    theta, log_likelihood, log_prior = _some_samples(cached, question.space)
    if not _agree(log_prior, log_prior_density(theta, question.space, question.priors)):
        return "set of priors"
    if not _agree(log_likelihood, [question.log_likelihood(row) for row in theta]):
        return "likelihood"
    return None


def _too_little(own: Mapping[str, Any], n_effective: float) -> str | None:
    """Say why the run with the right question is not complete."""
    if own["status"] not in FINISHED:
        return f"has the status {own['status']!r}"
    if max(own["ess"], own["n_effective"]) < n_effective:
        return f"has {own['ess']:,.0f} of {n_effective:,.0f} effective samples"
    return None


def _settings_that_differ(cached: Result, question: Question) -> list[str]:
    own = cached.meta_data["nbi"]
    seed = [] if question.seed is None else differences({"seed": own["seed"]}, {"seed": question.seed})
    if "settings" in own:
        present = settings_as_text(question.keywords, question.use_ratio, question.priors, question.space)
        texts = own["settings"], present
        before, now = ({name: json.loads(text) for name, text in each.items()} for each in texts)
        return seed + differences(before, now)
    # An older version saved only the keywords, with arrays represented by their shapes.
    saved, given = cached.sampler_kwargs or {}, describable(question.keywords)
    names = [name for name in RUN_KEYWORDS if name in saved and name not in ("model", "initial_result")]
    model = own["model"]["digest"] if "model" in own else None
    before = {"model": model, "use_ratio": cached.use_ratio} | {name: saved[name] for name in names}
    now = {"model": question.keywords["model"], "use_ratio": question.use_ratio}
    return seed + differences(before, now | {name: given[name] for name in names})


def _some_samples(cached: Result, space: ParameterSpace) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """A few samples in the order of the space, their log-likelihoods and log prior densities."""
    columns = [list(cached.search_parameter_keys).index(name) for name in space.names]
    theta = np.asarray(cached.samples, dtype=float)[: STORAGE.n_compared, columns]
    values = (cached.log_likelihood_evaluations, cached.log_prior_evaluations)
    near = np.column_stack([theta, *(np.asarray(each, dtype=float)[: STORAGE.n_compared] for each in values)])
    frame, names = cached.nested_samples, [*space.names, "log_likelihood", "log_prior"]
    if isinstance(frame, pd.DataFrame) and set(names) <= set(frame):
        far = frame.iloc[np.argsort(frame["log_likelihood"].to_numpy())[: STORAGE.n_far]]
        near = np.concatenate([near, far[names].to_numpy(dtype=float)])
    return near[:, :-2], near[:, -2], near[:, -1]


def _in_present_order(cached: Result, question: Question) -> Result:
    """Give a result the order of parameters and the injected values of this question."""
    names = list(question.space.names)
    if list(cached.search_parameter_keys) != names:
        columns = [list(cached.search_parameter_keys).index(name) for name in names]
        cached.samples = np.asarray(cached.samples)[:, columns]
        cached.search_parameter_keys, cached.priors = names, question.priors
        cached.parameter_labels = [question.priors[name].latex_label for name in names]
        cached.parameter_labels_with_unit = [question.priors[name].latex_label_with_unit for name in names]
        cached.nested_samples = _with_columns_first(cached.nested_samples, names)
        cached.posterior = _with_columns_first(cached._posterior, names)
    posterior = cached._posterior
    finished = isinstance(posterior, pd.DataFrame) and len(posterior) > 0 and set(names) <= set(posterior)
    plain = {*names, *question.space.fixed, "log_likelihood", "log_prior"}
    # bilby makes a missing posterior, and calls the current conversion function. This function may have
    # failed in the former run, or may not have existed.
    if not finished or set(posterior) <= plain:
        cached.posterior = None
    # If the former run ended in the conversion, the derived columns of the file may have caused this.
    if not finished or question.injection_parameters is not None:
        cached.injection_parameters = question.injection_parameters
    return cached


def _with_columns_first(frame: Any, names: list[str]) -> Any:
    if not isinstance(frame, pd.DataFrame) or not set(names) <= set(frame):
        return frame
    return frame[[*names, *(name for name in frame if name not in names)]]


def _fixed_values(cached: Result) -> dict[str, float]:
    priors = {name: cached.priors[name] for name in cached.fixed_parameter_keys}
    return {name: float(getattr(prior, "peak", prior)) for name, prior in priors.items()}


def _constraints(priors: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    kept = {name: prior for name, prior in priors.items() if isinstance(prior, Constraint)}
    return {name: (float(prior.minimum), float(prior.maximum)) for name, prior in kept.items()}


def _alike(saved: Any, present: Any) -> bool:
    """Return whether two nested dictionaries agree by bilby's comparison."""
    try:
        np.testing.assert_equal(saved, present)
    except AssertionError:
        return False
    return True


def _agree(saved: Any, present: Any) -> bool:
    first, second = (np.asarray(each, dtype=float) for each in (saved, present))
    return np.allclose(first, second, rtol=STORAGE.tolerance, atol=STORAGE.tolerance)
