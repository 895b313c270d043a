"""The start of a run: its own checkpoint if the file holds one, otherwise the beginning."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from bilby.core.prior import PriorDict

from nbi_sampler.algorithm.start import Start
from nbi_sampler.algorithm.state import State
from nbi_sampler.algorithm.step import Problem, simulations_per_round
from nbi_sampler.core.config import STORAGE, SnpeConfig
from nbi_sampler.evaluation.evaluator import Evaluator
from nbi_sampler.priors.space import ParameterSpace
from nbi_sampler.storage.archive import ArchiveError, is_placeholder, read_archive
from nbi_sampler.storage.checkpoint import Checkpoint, load
from nbi_sampler.storage.place import set_aside

__all__ = ["begin", "find_checkpoint", "in_saved_order", "say_how_it_begins"]


def begin(
    path: Path,
    fingerprint: Mapping[str, Any],
    seed: int | None,
    problem: Problem,
    config: SnpeConfig,
    resume: bool,
    log: logging.Logger,
) -> Checkpoint:
    """Start of a run from its own checkpoint, or from the beginning with the seed of ``config``.

    Without ``resume``, an existing checkpoint is removed.
    """
    assert config.seed is not None
    start = Checkpoint(State(), config.seed, 0.0)
    if resume:
        return find_checkpoint(path, fingerprint, seed, problem, log) or start
    path.unlink(missing_ok=True)
    return start


def say_how_it_begins(start: Checkpoint, problem: Problem, config: SnpeConfig, log: logging.Logger) -> None:
    """Write one line to the log: how draws are evaluated, on which device networks train, and the seed."""
    n_sims = start.state.n_sims or simulations_per_round(config, problem.evaluator)
    device, beginning, first = problem.networks.device, problem.start, ""
    if isinstance(beginning, Start):
        first = f", first draws from model {beginning.digest}, p-value {beginning.p_value:.2g}"
    elif beginning is not None:
        first = f", first draws from a fit to {len(beginning.draws.z):,} former samples ({beginning.digest})"
    elif problem.approximates:
        first = ", an approximation of the likelihood is explored first"
    log.info(
        f"nbi: {problem.evaluator.note}; device {device}, seed {start.seed}, {n_sims:,} simulations a round"
        f"{first}"
    )


def in_saved_order(path: Path, space: ParameterSpace, priors: PriorDict) -> ParameterSpace:
    """The space with the column order of a checkpoint with the same parameters, if there is one.

    A run keeps its initial order of parameters, because its draws, proposals and networks have it.
    """
    if not path.is_file() or is_placeholder(path):
        return space
    try:
        names = read_archive(path)[0].get("names")
    # `find_checkpoint` reports a damaged file.
    except ArchiveError:
        return space
    if not isinstance(names, list) or names == list(space.names) or not all(n in space.names for n in names):
        return space
    return ParameterSpace(priors, tuple(names)) if len(names) == space.n_dim == len(set(names)) else space


def find_checkpoint(
    path: Path,
    fingerprint: Mapping[str, Any],
    seed: int | None,
    problem: Problem,
    log: logging.Logger,
) -> Checkpoint | None:
    """The run in a file, if it is the same as the current one.

    The likelihood is called once, at the most likely draw of the file. If the prior is wide, a change of the
    data may not affect the likelihood at draws from the prior. A file that cannot be used is reported and
    renamed.

    A seed of None continues with that of the file.
    """
    if not path.is_file():
        return None
    if is_placeholder(path):
        log.info(f"nbi: the checkpoint {path} is empty; the run starts from the beginning")
        return None
    try:
        checkpoint = load(path, fingerprint, problem.networks, problem.evaluator)
        if seed not in (None, checkpoint.seed):
            raise ArchiveError(f"it was written for something else: seed ({checkpoint.seed}, now {seed})")
        _check_best_draw(checkpoint.state, problem.evaluator)
    except ArchiveError as error:
        kept = set_aside(path)
        log.warning(
            f"nbi: the checkpoint {path} is not used: {error}. It is kept as {kept.name}; the run restarts"
        )
        return None
    log.info(f"nbi: continues from {path}: {checkpoint.n_draws:,} draws, {checkpoint.seconds:,.0f} s before")
    return checkpoint


def _check_best_draw(state: State, evaluator: Evaluator) -> None:
    """Refuse a state if the current likelihood has another value at its most likely draw."""
    batches = [(each.z, each.log_likelihood) for each in (*state.history.batches, *state.final)]
    if state.pending is not None and state.pending.partial is not None:
        partial = state.pending.partial
        batches.append((partial.z[partial.finished], partial.log_likelihood[partial.finished]))
    z, values = (np.concatenate(parts) for parts in zip(*batches, strict=True)) if batches else (None, None)
    if z is None or values is None or not np.isfinite(values).any():
        return
    best = int(np.argmax(np.where(np.isfinite(values), values, -np.inf)))
    now = evaluator(z[[best]]).log_likelihood[0]
    if not np.isclose(now, values[best], rtol=STORAGE.tolerance, atol=STORAGE.tolerance):
        raise ArchiveError(
            f"the likelihood has changed: its largest value ({float(values[best])!r}) is now {float(now)!r}"
        )
