"""Problems of known evidence, and measurements of samplers on them: `nbi-sampler benchmark`.

`compare` compares results of several samplers (docs/comparing.md).
"""

from __future__ import annotations

from nbi_sampler_benchmark.problems.registry import PROBLEMS, Problem, get_problem
from nbi_sampler_benchmark.samplers.comparison import Comparison, compare

__version__ = "0.2.0"

__all__ = ["PROBLEMS", "Comparison", "Problem", "compare", "get_problem"]
