"""The state of a fit between two epochs, from which the same fit goes on, to the digit on a CPU.

It consists of plain numbers and tensors, so that a caller can keep it in any file. Everything else of a fit
follows from its arguments.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from nbi_sampler.core.config import FIT, TrainingConfig

__all__ = ["FitState", "Keeper", "Learning", "restore", "state_of"]

# Entries of `Learning` that a state keeps as they are; the rest are parameters.
NUMBERS = ("best", "n_stale", "n_steps", "n_skipped", "seconds")
LOSSES = ("training", "validation")
# Of the optimiser, those that the schedule changes.
CYCLED = ("lr", "betas")


@dataclass(frozen=True)
class FitState:
    """State of a fit after an epoch.

    Attributes
    ----------
    numbers : dict
        Values that JSON can hold.
    tensors : dict of str to Tensor
        Parameters and buffers now and at the lowest validation loss, the optimiser's moments, and the state
        of the random generator.
    """

    numbers: dict[str, Any]
    tensors: dict[str, Tensor]


class Keeper(Protocol):
    """Place for the state of one fit."""

    def kept(self) -> FitState | None:
        """State to go on from; None to begin."""

    def keep(self, state: Callable[[], FitState], is_last: bool) -> None:
        """Take note of a finished epoch; ``state`` is called if its state is to be kept."""


@dataclass
class Learning:
    """Progress of a fit: losses, counts and its best networks.

    Attributes
    ----------
    best : float
        Lowest validation loss.
    best_state : dict of str to Tensor
        Parameters and buffers of its epoch.
    n_stale : int
        Number of epochs since then.
    n_steps, n_skipped : int
        Numbers of steps taken and omitted.
    training, validation : list of float
        Losses by epoch.
    seconds : float
        Time of the fit in processes before this one.
    """

    best_state: dict[str, Tensor]
    best: float = math.inf
    n_stale: int = 0
    n_steps: int = 0
    n_skipped: int = 0
    training: list[float] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)
    seconds: float = 0.0

    @classmethod
    def begun(cls, module: nn.Module) -> Learning:
        """Nothing learnt yet."""
        return cls(_snapshot(module))

    @property
    def n_epochs(self) -> int:
        """Number of finished epochs."""
        return len(self.validation)

    def is_over(self, config: TrainingConfig) -> bool:
        """Return True if no epoch follows."""
        return self.n_epochs >= config.n_epochs or self.n_stale >= config.patience

    def add(self, module: nn.Module, training: float, validation: float) -> None:
        """Add the losses of an epoch."""
        self.training.append(training)
        self.validation.append(validation)
        if validation < self.best - FIT.least_gain:
            self.best, self.best_state, self.n_stale = validation, _snapshot(module), 0
        else:
            self.n_stale += 1


def state_of(
    learning: Learning,
    module: nn.Module,
    parameters: Sequence[nn.Parameter],
    optimiser: torch.optim.Optimizer,
    generator: torch.Generator | None,
    seconds: float,
) -> FitState:
    """State after an epoch.

    Parameters
    ----------
    learning : Learning
    module : nn.Module
    parameters : sequence of nn.Parameter
        Parameters of the optimiser.
    optimiser : torch.optim.Optimizer
    generator : torch.Generator or None
        Generator of the objective.
    seconds : float
        Time of the fit so far.
    """
    numbers: dict[str, Any] = {name: getattr(learning, name) for name in NUMBERS}
    numbers |= {name: list(getattr(learning, name)) for name in LOSSES}
    (group,) = optimiser.param_groups
    numbers |= {"seconds": seconds, **{name: group[name] for name in CYCLED}}
    tensors = {f"now.{name}": value for name, value in module.state_dict().items()}
    tensors |= {f"best.{name}": value for name, value in learning.best_state.items()}
    for i, parameter in enumerate(parameters):
        for name, value in optimiser.state[parameter].items():
            tensors[f"optimiser.{i}.{name}"] = value
    if generator is not None:
        tensors["generator"] = generator.get_state()
    return FitState(numbers, tensors)


def restore(
    state: FitState,
    module: nn.Module,
    parameters: Sequence[nn.Parameter],
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    generator: torch.Generator | None,
) -> Learning:
    """Bring a fit that has just begun to a state.

    Parameters
    ----------
    state : FitState
    module, parameters, optimiser, generator
        See `state_of`.
    schedule : torch.optim.lr_scheduler.LRScheduler

    Raises
    ------
    KeyError, RuntimeError
        If the state is that of other networks.
    """
    numbers, tensors = state.numbers, state.tensors
    best_state = _beginning_with("best.", tensors)
    module.load_state_dict(best_state)
    best_state = _snapshot(module)
    module.load_state_dict(_beginning_with("now.", tensors))
    for i, parameter in enumerate(parameters):
        moments = _beginning_with(f"optimiser.{i}.", tensors)
        if moments:
            optimiser.state[parameter] = {
                name: value.to(parameter.device).clone() for name, value in moments.items()
            }
    (group,) = optimiser.param_groups
    group["lr"], group["betas"] = numbers["lr"], tuple(numbers["betas"])
    # The schedule is a function of the number of steps, taken or omitted.
    n_steps = numbers["n_steps"] + numbers["n_skipped"]
    schedule.last_epoch, schedule._step_count = n_steps, n_steps + 1
    if generator is not None:
        generator.set_state(tensors["generator"].cpu())
    known: dict[str, Any] = {name: numbers[name] for name in NUMBERS}
    known |= {name: list(numbers[name]) for name in LOSSES}
    return Learning(best_state, **known)


def _beginning_with(start: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(start): each for name, each in tensors.items() if name.startswith(start)}


def _snapshot(module: nn.Module) -> dict[str, Tensor]:
    return copy.deepcopy(module.state_dict())
