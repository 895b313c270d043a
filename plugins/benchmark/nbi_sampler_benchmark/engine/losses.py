"""Comparison of the paper's loss and automatic posterior transformation: `nbi-sampler benchmark losses`.

Only the rounds are run (Algorithm 1, no refinement), with the same number of simulations in each.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import NamedTuple

from nbi_sampler.algorithm.records import Observer
from nbi_sampler.algorithm.snpe import run
from nbi_sampler.core.config import SnpeConfig
from nbi_sampler.priors.space import ParameterSpace
from nbi_sampler.sampler.keywords import DEFAULTS, read_settings
from nbi_sampler.sampler.problem import make_forward_model, make_problem
from nbi_sampler_benchmark.problems.registry import get_problem

__all__ = ["LossRun", "compare_losses", "losses_table"]

PROBLEMS_OF_LOSSES = ("linear", "sine_demo", "microlensing")
N_ROUNDS = 4
N_SIMS = 1000
N_EPOCHS = 40


class LossRun(NamedTuple):
    """Rounds with one loss.

    Attributes
    ----------
    problem, loss : str
    efficiencies : tuple of float
        Efficiency by round, until the effective size fell.
    seconds : float
        Processor time of all rounds.
    """

    problem: str
    loss: str
    efficiencies: tuple[float, ...]
    seconds: float


def compare_losses(seed: int = 1) -> Iterator[LossRun]:
    """Run every problem with every loss."""
    for name in PROBLEMS_OF_LOSSES:
        for loss in ("nll", "apt"):
            yield _rounds(name, loss, seed)


def losses_table(runs: Iterator[LossRun] | None = None) -> str:
    """Table of efficiency by round and processor time, as Markdown."""
    lines = ["| problem | loss | efficiency by round | processor time, s |", "|---|---|---|---|"]
    for each in runs or compare_losses():
        efficiencies = ", ".join(f"{100 * value:.1f} %" for value in each.efficiencies)
        lines.append(f"| {each.problem} | {each.loss} | {efficiencies} | {each.seconds:.0f} |")
    return "\n".join(lines)


def _rounds(name: str, loss: str, seed: int) -> LossRun:
    problem = get_problem(name)
    settings = read_settings({**DEFAULTS, "seed": seed, "training": {"n_epochs": N_EPOCHS, "n_threads": 1}})
    space = ParameterSpace(problem.priors)
    forward = make_forward_model(problem.likelihood, space, settings)
    config = SnpeConfig(
        n_effective=1e-9,
        n_rounds=N_ROUNDS,
        n_sims=N_SIMS,
        loss=loss,
        refine=False,
        max_likelihood_calls=(N_ROUNDS + 2) * N_SIMS,
    )
    posed = make_problem(problem.likelihood, False, space, forward, settings)
    start = time.process_time()
    records = [each for each in run(posed, config, seed, Observer()).records if each.phase == "rounds"]
    return LossRun(
        name,
        loss,
        tuple(each.efficiency for each in records),
        time.process_time() - start,
    )
