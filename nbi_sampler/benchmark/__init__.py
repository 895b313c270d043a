"""Problems of known evidence, and what a sampler does on them: `python -m nbi_sampler.benchmark`.

`compare` lays results of several samplers side by side (docs/comparing.md).
"""

from __future__ import annotations

from nbi_sampler.benchmark.comparison import Comparison, compare
from nbi_sampler.benchmark.problems import PROBLEMS, Problem, get_problem

__all__ = ["PROBLEMS", "Comparison", "Problem", "compare", "get_problem"]
