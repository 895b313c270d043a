"""A survey: inference for every target from the same trained model, with one row of a table for each.

A target takes the sampler's own steps: importance sampling if the model suffices, and rounds and refinement
if it does not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
from bilby.core.likelihood import Likelihood
from bilby.core.prior import PriorDict
from bilby.core.utils import logger

from nbi_sampler.amortised import Observation
from nbi_sampler.core.config import SURVEY, nearest
from nbi_sampler.core.guarded import in_own_settings
from nbi_sampler.evaluation.pools import Pool, opened_pool
from nbi_sampler.forward.arrays import as_numbers
from nbi_sampler.priors.names import check_names
from nbi_sampler.reports.progress import SurveyProgress
from nbi_sampler.sampler.keywords import DEFAULTS, translate
from nbi_sampler.sampler.problem import make_forward_model
from nbi_sampler.sampler.survey.table import Survey, finished_targets, opened_table, stored
from nbi_sampler.sampler.survey.target import Plan, Target, failure, without_warnings_of_bilby
from nbi_sampler.sampler.survey.workers import PackedTarget, TargetDispatcher
from nbi_sampler.sampler.trained_model import check_priors, digest_of, estimator_of, observed_by
from nbi_sampler.storage.appendable_table import AppendableTable
from nbi_sampler.storage.fingerprint import described, priors_described, versions

__all__ = ["infer_many"]

# Keywords of the sampler that apply to one target.
KEYWORDS = (
    *("n_effective", "n_rounds", "n_sims", "loss", "refine", "max_likelihood_calls"),
    *("featurizer", "flow", "vectorized", "training", "device"),
)


@in_own_settings
def infer_many(
    model: Any,
    likelihoods: Iterable[Likelihood] | Iterable[tuple[str, Likelihood]] | Mapping[str, Likelihood],
    priors: PriorDict | Mapping[str, Any],
    path: str | Path = "survey.h5",
    *,
    observed: Callable[[Likelihood], tuple[Any, ...]] | None = None,
    n_samples: int = SURVEY.n_samples,
    npool: int = 1,
    pool: Any = None,
    seed: int | None = None,
    resume: bool = True,
    print_method: str | None = "tqdm",
    **keywords: Any,
) -> Survey:
    """Infer the targets of a survey, and store the results in a table.

    Parameters
    ----------
    model : str, os.PathLike or NBI
        A trained model, or its file.
    likelihoods : iterable or mapping
        Likelihoods, or pairs ``(name, likelihood)``, which are taken one by one. Names must be unique; the
        default names are ``"0"``, ``"1"`` and so on.
    priors : bilby.core.prior.PriorDict or dict
        Priors of all targets, as in the training.
    path : str or pathlib.Path
        File of the table. If it already belongs to the same survey, its targets are not run again, except for
        those that failed.
    observed : callable, optional
        ``observed(likelihood)`` returns ``(x_obs, x_err, x_mask)``, or fewer, in the format of the model. The
        default is the data of the likelihood.
    n_samples : int
        Number of samples of equal weight to store for each target.
    npool : int
        Number of processes, each of which runs one target at a time. The result does not depend on it.
    pool : object, optional
        Replaces ``npool``: any `concurrent.futures.Executor`, or an object with ``map``. It is never closed.
    seed : int, optional
        The same seed gives the same result. Each target has its own seed, which depends on this one and its
        data alone. None takes the seed of the table, or draws one.
    resume : bool
        False replaces the table.
    print_method : str, optional
        ``"tqdm"``, ``"interval-60"`` or ``"none"``, as for the sampler.
    **keywords
        Keywords of the sampler for every target: ``n_effective`` (1000 by default here),
        ``max_likelihood_calls``, ``n_rounds``, ``refine``, ``training`` and others.

    Returns
    -------
    Survey
        All targets of ``likelihoods``, in their order.

    Raises
    ------
    TypeError, ValueError
        For unusable arguments, a model with other priors, or a table of another survey. A problem with a
        single target becomes the status of its row.
    WorkerError
        If no process can be given work.
    """
    check_names(priors)
    priors = priors if isinstance(priors, PriorDict) else PriorDict(dict(priors))
    estimator = estimator_of(model, priors)
    plan = Plan(estimator, priors, _complete(keywords), n_samples)
    check_priors(estimator, plan.space)
    if not isinstance(n_samples, int) or n_samples < 1:
        raise ValueError(f"n_samples: expected an integer of at least 1, got {n_samples!r}")
    path = Path(path)
    about = _about(plan, seed)
    n_targets = len(likelihoods) if isinstance(likelihoods, Sized) else None
    with opened_table(path, n_samples, about, resume) as table, opened_pool(npool, pool) as opened:
        survey = _Survey(plan, table, seed, observed)
        progress = SurveyProgress(print_method, n_targets, len(survey.finished), logger.info)
        try:
            for row in survey.rows(likelihoods, opened):
                stored(table, row)
                progress.done(row["status"])
        finally:
            progress.close()
        logger.info(progress.line())
    return Survey.read(path).of(survey.names)


class _Survey:
    """Yield the targets one by one, except for those that are done."""

    def __init__(
        self, plan: Plan, table: AppendableTable, seed: int | None, observed: Callable[..., Any] | None
    ) -> None:
        self._plan = plan
        self._seed = int(table.metadata["seed"])
        if seed is not None and seed != self._seed:
            raise ValueError(
                f"seed: expected that of the table {table.path}, {self._seed}, got {seed}; leave it out, or "
                "give resume=False"
            )
        self._observed = observed
        self.finished = finished_targets(table)
        self.names: list[str] = []
        # Rows of targets that failed before they could be run.
        self._unfit: list[dict[str, Any]] = []

    def rows(self, likelihoods: Iterable[Any], pool: Pool | None) -> Iterator[dict[str, Any]]:
        """Yield the rows of the missing targets as they are finished."""
        for target, row in self._answers(self._targets(likelihoods), pool):
            yield from self._taken()
            yield {**target.known, **failure(row)} if isinstance(row, Exception) else row
        yield from self._taken()

    def _taken(self) -> list[dict[str, Any]]:
        unfit, self._unfit = self._unfit, []
        return unfit

    def _answers(self, targets: Iterator[Target], pool: Pool | None) -> Iterator[tuple[Target, Any]]:
        if pool is None:
            return ((target, self._plan.row(target)) for target in targets)
        pool.start()
        dispatcher = TargetDispatcher(pool, self._plan)
        return ((packed.target, row) for packed, row in dispatcher.dispatch(self._packed(targets)))

    def _packed(self, targets: Iterator[Target]) -> Iterator[PackedTarget]:
        for target in targets:
            try:
                packed = cloudpickle.dumps(target)
            # Pickling can raise any error.
            except Exception as error:
                self._unfit.append({**target.known, **failure(error)})
            else:
                yield PackedTarget(target, packed)

    def _targets(self, likelihoods: Iterable[Any]) -> Iterator[Target]:
        seen = set()
        pairs = likelihoods.items() if isinstance(likelihoods, Mapping) else likelihoods
        for index, given in enumerate(pairs):
            name, likelihood = given if isinstance(given, tuple) else (str(index), given)
            if name in seen:
                raise ValueError(f"likelihoods: expected a unique name for every target, got {name!r} twice")
            seen.add(name)
            self.names.append(name)
            target = self._target(index, name, likelihood)
            if target is not None:
                yield target

    def _target(self, index: int, name: str, likelihood: Likelihood) -> Target | None:
        """Prepare a target; None if it is done or cannot be run."""
        try:
            with without_warnings_of_bilby():
                forward = make_forward_model(likelihood, self._plan.space, self._plan.settings)
                given = () if self._observed is None else self._observed(likelihood)
            data = observed_by(self._plan.estimator, forward, *given)
            digest = _digest(data)
        # Likelihood and function are the user's code. Other targets must not be affected.
        except Exception as error:
            self._unfit.append({"index": index, "name": name, "data": "", **failure(error)})
            return None
        if name in self.finished:
            if self.finished[name] != digest:
                raise ValueError(
                    f"likelihoods: expected the same data of target {name!r} as in the table, got others; "
                    "give another path, or resume=False"
                )
            return None
        sequence = np.random.SeedSequence(self._seed, spawn_key=(int(digest, 16),))
        return Target(index, name, likelihood, data, digest, int(sequence.generate_state(1)[0]))


def _complete(keywords: Mapping[str, Any]) -> dict[str, Any]:
    """Keywords of the sampler for one target, with defaults for all others."""
    for name in keywords:
        if name not in KEYWORDS:
            raise TypeError(f"infer_many: unknown keyword {name!r}; {nearest(name, KEYWORDS)}")
    given, *_ = translate({"n_effective": SURVEY.n_effective, **keywords}, {})
    # Each target has its own seed. A number here only keeps the settings the same.
    return {**DEFAULTS, **given, "seed": 0}


def _about(plan: Plan, seed: int | None) -> dict[str, Any]:
    """Description of a survey, for its table."""
    return {
        "parameters": list(plan.space.names),
        "seed": int(np.random.SeedSequence().generate_state(1)[0]) if seed is None else seed,
        "fingerprint": {
            "model": digest_of(plan.estimator),
            **priors_described(plan.priors, plan.space),
            **{name: described(plan.keywords[name]) for name in KEYWORDS if name != "device"},
            "n_samples": plan.n_samples,
            **versions(),
        },
    }


def _digest(observed: Observation) -> str:
    """Digest of data: 16 hexadecimal digits."""
    content = hashlib.sha256()
    for part in observed:
        array = as_numbers(np.nan if part is None else part, "observed")
        content.update(repr(array.shape).encode() + array.tobytes())
    return content.hexdigest()[:16]
