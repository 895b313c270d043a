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
    n_rounds: int = 10
    n_sims: int | Literal["auto"] = "auto"
    loss: str = "nll"
    refine: bool = True
    max_likelihood_calls: int | None = None
    seed: int | None = None

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
