"""Problems of known evidence, and what a sampler does on them: `python -m nbi_sampler.benchmark`."""

from __future__ import annotations

from nbi_sampler.benchmark.problems import PROBLEMS, Problem, get_problem

__all__ = ["PROBLEMS", "Problem", "get_problem"]
