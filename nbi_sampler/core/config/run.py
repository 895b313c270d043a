"""Settings of a run of SNPE-IS that its user chooses."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import Literal

from nbi_sampler.core.config.building import require, require_count

__all__ = ["SnpeConfig"]


@dataclass(frozen=True, kw_only=True)
class SnpeConfig:
    """Target, budget and adaptation of one run of SNPE-IS."""

    n_effective: float = 5000
    """Effective samples of the result. The error of log Z is then at most 0.014."""
    n_rounds: int = 10
    """Most rounds of simulations and training. Twelve problems of the benchmark (5,000
    effective samples) took one to three before the refinement took over."""
    n_sims: int | Literal["auto"] = "auto"
    """Draws of a round. ``"auto"`` is the rule of `BatchConfig`: 800 to 2,000, fewer if calls take long."""
    loss: str = "nll"
    """Loss of the rounds. With rounds alone (one seed), ``"nll"`` reaches efficiencies of 81, 38 and 31 % for
    linear, sine_demo and microlensing, and ``"apt"`` 97, 7 and 0.1 % in 2.8 to 5.2 times the time
    (docs/losses.md)."""
    refine: bool = True
    """True if the run goes over to fits of the weighted draws; False is Algorithm 1 of the paper. These fits
    reach 89 to 95 % on the same three problems."""
    max_likelihood_calls: int | None = None
    """Budget of calls; None is the rule of `BatchConfig`, at least 200,000."""
    seed: int | None = None
    """Seed of all random numbers; None draws one."""

    def __post_init__(self) -> None:
        number = isinstance(self.n_effective, Real) and not isinstance(self.n_effective, bool)
        require(number and self.n_effective > 0, "n_effective", "a positive number", self.n_effective)
        require_count("n_rounds", self.n_rounds)
        if self.n_sims != "auto":
            require_count("n_sims", self.n_sims, minimum=100)
        require(isinstance(self.loss, str), "loss", "the name of a loss, such as 'nll' or 'apt'", self.loss)
        require(isinstance(self.refine, bool), "refine", "True or False", self.refine)
        if self.max_likelihood_calls is not None:
            require_count("max_likelihood_calls", self.max_likelihood_calls, minimum=100)
        if self.seed is not None:
            require_count("seed", self.seed, minimum=0)
