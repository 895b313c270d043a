"""Fit of a module to an objective by AdamW with a one-cycle schedule and early stopping.

The objective yields the losses of an epoch and a validation value. This module does not depend on flows or
data. On a GPU, steps are repeated as `captured` records them. A fit that was interrupted goes on from a state
that `continued` describes.
"""

from __future__ import annotations

import inspect
import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch
from torch import Tensor, nn

from nbi_sampler.core.config import FIT, TrainingConfig
from nbi_sampler.networks.training.captured import CapturedStep, gives_rows
from nbi_sampler.networks.training.continued import FitState, Keeper, Learning, restore, state_of
from nbi_sampler.networks.training.cuda_graph import Graph, GraphOn, cuda_graph
from nbi_sampler.networks.training.one_vector import clear_gradients, one_vector

__all__ = ["Objective", "OnEpoch", "TrainingInfo", "fit"]

logger = logging.getLogger(__name__)

OnEpoch = Callable[[int, float, float], None]


class Objective(Protocol):
    """Losses that a fit minimises."""

    n_batches: int

    def batches(self) -> Iterator[Tensor]:
        """Yield ``n_batches`` losses of one epoch, each a scalar computed on demand."""

    def validation(self) -> float:
        """Loss of the held-out share with the current parameters."""


@dataclass(frozen=True)
class TrainingInfo:
    """Record of a fit.

    Attributes
    ----------
    best : float
        Lowest validation loss; the parameters are those of its epoch.
    training, validation : tuple of float
        Losses by epoch: means over the steps taken, NaN for an epoch without one.
    n_steps : int
        Number of steps taken.
    n_skipped : int
        Number of steps that were omitted because the loss or its gradient was not finite.
    seconds : float
    """

    best: float
    training: tuple[float, ...]
    validation: tuple[float, ...]
    n_steps: int
    n_skipped: int
    seconds: float


def fit(
    module: nn.Module,
    objective: Objective,
    config: TrainingConfig,
    on_epoch: OnEpoch | None = None,
    graph_on: GraphOn = cuda_graph,
    keeper: Keeper | None = None,
) -> TrainingInfo:
    """Train ``module`` in place, restore its best validation loss, and leave it in evaluation mode.

    Parameters
    ----------
    module : nn.Module
    objective : Objective
    config : TrainingConfig
    on_epoch : callable, optional
        Called after every epoch with its number, training loss and validation loss.
    graph_on : callable, optional
        Returns the graph that captures steps on a device, or None if they are not captured.
    keeper : Keeper, optional
        Keeps the state of the fit, which goes on from what was kept.
    """
    start = time.perf_counter()
    graph = _graph(module, objective, config, graph_on)
    with one_vector(module) as parameters:
        steps = _Steps(module, objective, config, parameters, graph)
        learning = _train(steps, on_epoch, keeper, start)
    if learning.n_skipped:
        n_tried = learning.n_steps + learning.n_skipped
        logger.info(
            "%d of %d training steps had no finite loss and were omitted", learning.n_skipped, n_tried
        )
    return TrainingInfo(
        learning.best,
        tuple(learning.training),
        tuple(learning.validation),
        learning.n_steps,
        learning.n_skipped,
        seconds=learning.seconds + time.perf_counter() - start,
    )


def _train(steps: _Steps, on_epoch: OnEpoch | None, keeper: Keeper | None, start: float) -> Learning:
    module, config = steps.module, steps.config
    kept = None if keeper is None else keeper.kept()
    learning = Learning.begun(module) if kept is None else steps.restored(kept)
    while not learning.is_over(config):
        module.train()
        loss, n_taken, n_left_out = steps.epoch()
        learning.n_steps += n_taken
        learning.n_skipped += n_left_out
        module.eval()
        with torch.no_grad():
            value = steps.objective.validation()
        learning.add(module, loss, value)
        if on_epoch is not None:
            on_epoch(learning.n_epochs - 1, loss, value)
        if keeper is not None:
            seconds = learning.seconds + time.perf_counter() - start
            keeper.keep(partial(steps.state, learning, seconds), learning.is_over(config))
    module.load_state_dict(learning.best_state)
    module.eval()
    return learning


def _graph(
    module: nn.Module, objective: Objective, config: TrainingConfig, graph_on: GraphOn
) -> Graph | None:
    """A graph for the step, if device and objective support it and the fit has enough steps."""
    devices = {parameter.device for parameter in module.parameters()}
    n_steps = objective.n_batches * config.n_epochs
    if not gives_rows(objective) or len(devices) != 1 or n_steps < FIT.worth_a_capture:
        return None
    return graph_on(devices.pop())


class _Steps:
    """The steps of a fit, with optimiser, schedule and the graph that captures a step."""

    def __init__(
        self,
        module: nn.Module,
        objective: Objective,
        config: TrainingConfig,
        parameters: Sequence[nn.Parameter],
        graph: Graph | None,
    ) -> None:
        self.module = module
        self.objective = objective
        self.config = config
        self._parameters = parameters
        self._optimiser, self._schedule = _optimiser(parameters, config, objective.n_batches)
        self._captured: CapturedStep | None = None
        if graph is not None and gives_rows(objective):
            gradient_norm = config.gradient_norm
            self._captured = CapturedStep(
                module, parameters, objective, self._optimiser, gradient_norm, graph
            )

    def epoch(self) -> tuple[float, int, int]:
        """Take the steps of one epoch; return their mean loss, and the numbers taken and omitted."""
        captured = self._captured
        values: list[float | None] = []
        if captured is None:
            for loss in self.objective.batches():
                values.append(self._take(loss))
                self._schedule.step()
        else:
            for rows in captured.objective.rows():
                if not captured.take(rows):
                    with captured.aside():
                        values.append(self._take(captured.objective.loss_of(rows)))
                self._schedule.step()
        losses = [value for value in values if value is not None]
        total, n_taken, n_skipped = (0.0, 0, 0) if captured is None else captured.read()
        n_taken += len(losses)
        n_skipped += len(values) - len(losses)
        return _mean(total + sum(losses), n_taken), n_taken, n_skipped

    def state(self, learning: Learning, seconds: float) -> FitState:
        """State between two epochs; see `continued.state_of`."""
        own = (self.module, self._parameters, self._optimiser)
        return state_of(learning, *own, self._generator, seconds)

    def restored(self, state: FitState) -> Learning:
        """Go on from a state; see `continued.restore`."""
        own = (self.module, self._parameters, self._optimiser)
        return restore(state, *own, self._schedule, self._generator)

    @property
    def _generator(self) -> torch.Generator | None:
        return getattr(self.objective, "generator", None)

    def _take(self, loss: Tensor) -> float | None:
        """Take the step of a loss and return its value; None if it is omitted."""
        clear_gradients(self._parameters)
        finite = bool(torch.isfinite(loss))
        if finite:
            loss.backward()
            norm = nn.utils.clip_grad_norm_(self._parameters, self.config.gradient_norm)
            finite = bool(torch.isfinite(norm))
        if finite:
            self._optimiser.step()
            return float(loss.detach())
        # A step without gradients changes nothing. The schedule would warn if the first step were omitted.
        gradients = [parameter.grad for parameter in self._parameters]
        for parameter in self._parameters:
            parameter.grad = None
        self._optimiser.step()
        for parameter, gradient in zip(self._parameters, gradients, strict=True):
            parameter.grad = gradient
        return None


def _mean(total: float, n: int) -> float:
    return total / n if n else math.nan


class _AdamW(torch.optim.AdamW):
    """torch's own schedule without the wrappers that import its compiler, which takes more than a second."""

    add_param_group = inspect.unwrap(torch.optim.AdamW.add_param_group)
    step = torch.no_grad()(inspect.unwrap(torch.optim.AdamW.step))


def _optimiser(
    parameters: Sequence[nn.Parameter], config: TrainingConfig, n_batches: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.OneCycleLR]:
    optimiser = _AdamW(parameters, config.learning_rate, weight_decay=config.weight_decay, fused=True)
    n_total = n_batches * config.n_epochs + 1
    # At least two warm-up steps, because OneCycleLR divides by their number.
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, config.learning_rate, total_steps=n_total, pct_start=max(FIT.warm_up, 2.0 / n_total)
    )
    return optimiser, schedule
