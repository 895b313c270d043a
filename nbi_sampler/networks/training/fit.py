"""Fit a module to an objective: AdamW, one-cycle schedule, early stopping. Remembers nothing between fits.

The objective yields the losses of an epoch and a validation value; this file knows neither flows nor data.
On a GPU steps are repeated as `captured` records them.
"""

from __future__ import annotations

import copy
import inspect
import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from nbi_sampler.core.config import FIT, TrainingConfig
from nbi_sampler.networks.training.captured import CapturedStep, gives_rows
from nbi_sampler.networks.training.cuda_graph import GraphOn, cuda_graph

__all__ = ["Objective", "OnEpoch", "TrainingInfo", "fit"]

logger = logging.getLogger(__name__)

OnEpoch = Callable[[int, float, float], None]


class Objective(Protocol):
    """Losses that a fit minimises."""

    n_batches: int

    def batches(self) -> Iterator[Tensor]:
        """Losses of one epoch, each a scalar computed when it is asked for; ``n_batches`` of them."""

    def validation(self) -> float:
        """Loss of the held-out share at the present parameters."""


@dataclass(frozen=True)
class TrainingInfo:
    """Record of a fit.

    Attributes
    ----------
    best : float
        Lowest validation loss; the parameters are those of this epoch.
    training, validation : tuple of float
        Losses by epoch, means over the steps taken; NaN for an epoch without one.
    n_steps : int
        Steps taken.
    n_skipped : int
        Steps left out because the loss or its gradient was not finite.
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
) -> TrainingInfo:
    """Train ``module`` in place and leave it at its best validation loss, in evaluation mode.

    Parameters
    ----------
    module : nn.Module
    objective : Objective
    config : TrainingConfig
    on_epoch : callable, optional
        Called after every epoch with its number and its training and validation losses.
    graph_on : callable, optional
        Gives the graph in which steps are captured on a device, or None where they are not.
    """
    start = time.perf_counter()
    optimiser, schedule = _optimiser(module, config, objective.n_batches)
    captured = _captured(module, objective, optimiser, config, graph_on)
    best, best_state, n_stale, n_steps, n_skipped = math.inf, _snapshot(module), 0, 0, 0
    training: list[float] = []
    validation: list[float] = []
    for epoch in range(config.n_epochs):
        module.train()
        loss, n_taken, n_left_out = _epoch(module, objective, optimiser, schedule, config, captured)
        n_steps, n_skipped = n_steps + n_taken, n_skipped + n_left_out
        module.eval()
        with torch.no_grad():
            value = objective.validation()
        training.append(loss)
        validation.append(value)
        if on_epoch is not None:
            on_epoch(epoch, training[-1], value)
        if value < best - FIT.least_gain:
            best, best_state, n_stale = value, _snapshot(module), 0
        else:
            n_stale += 1
        if n_stale >= config.patience:
            break
    if captured is not None:
        captured.close()
    module.load_state_dict(best_state)
    module.eval()
    if n_skipped:
        n_tried = n_steps + n_skipped
        logger.info("%d of %d training steps had no finite loss and were left out", n_skipped, n_tried)
    seconds = time.perf_counter() - start
    return TrainingInfo(best, tuple(training), tuple(validation), n_steps, n_skipped, seconds)


def _captured(
    module: nn.Module,
    objective: Objective,
    optimiser: torch.optim.Optimizer,
    config: TrainingConfig,
    graph_on: GraphOn,
) -> CapturedStep | None:
    """The step that is repeated, where device and objective can do so and it is worth it."""
    devices = {parameter.device for parameter in module.parameters()}
    n_steps = objective.n_batches * config.n_epochs
    if not gives_rows(objective) or len(devices) != 1 or n_steps < FIT.worth_a_capture:
        return None
    graph = graph_on(devices.pop())
    if graph is None:
        return None
    return CapturedStep(module, objective, optimiser, config.gradient_norm, graph)


def _epoch(
    module: nn.Module,
    objective: Objective,
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    config: TrainingConfig,
    captured: CapturedStep | None,
) -> tuple[float, int, int]:
    """Steps of one epoch: their mean loss, how many were taken and how many left out."""
    losses: list[float] = []
    n_skipped = 0
    # A module looks for its parameters at every call: three times a step, 2 % of it.
    parameters = list(module.parameters())

    def take(loss: Tensor) -> bool:
        stepped = _step(parameters, optimiser, loss, config.gradient_norm)
        if stepped:
            losses.append(float(loss.detach()))
        return stepped

    if captured is None:
        for loss in objective.batches():
            n_skipped += not take(loss)
            schedule.step()
        return _mean(sum(losses), len(losses)), len(losses), n_skipped
    for rows in captured.objective.rows():
        if not captured.take(rows):
            with captured.aside():
                n_skipped += not take(captured.objective.loss_of(rows))
        schedule.step()
    total, n_taken, n_left_out = captured.read()
    n_taken += len(losses)
    return _mean(total + sum(losses), n_taken), n_taken, n_skipped + n_left_out


def _mean(total: float, n: int) -> float:
    return total / n if n else math.nan


class _AdamW(torch.optim.AdamW):
    """torch's own without the wrappers that import its compiler: more than a second, for nothing."""

    add_param_group = inspect.unwrap(torch.optim.AdamW.add_param_group)
    step = torch.no_grad()(inspect.unwrap(torch.optim.AdamW.step))


def _optimiser(
    module: nn.Module, config: TrainingConfig, n_batches: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.OneCycleLR]:
    optimiser = _AdamW(
        module.parameters(), config.learning_rate, weight_decay=config.weight_decay, fused=True
    )
    n_total = n_batches * config.n_epochs + 1
    # Two steps of warming up at least: OneCycleLR divides by the length of it.
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, config.learning_rate, total_steps=n_total, pct_start=max(FIT.warm_up, 2.0 / n_total)
    )
    return optimiser, schedule


def _step(
    parameters: Sequence[nn.Parameter], optimiser: torch.optim.Optimizer, loss: Tensor, gradient_norm: float
) -> bool:
    _forget_gradients(parameters)
    finite = bool(torch.isfinite(loss))
    if finite:
        loss.backward()
        finite = bool(torch.isfinite(nn.utils.clip_grad_norm_(parameters, gradient_norm)))
    if not finite:
        # A step without gradients moves nothing; the schedule warns where the first step was left out.
        _forget_gradients(parameters)
    optimiser.step()
    return finite


def _forget_gradients(parameters: Sequence[nn.Parameter]) -> None:
    for parameter in parameters:
        parameter.grad = None


def _snapshot(module: nn.Module) -> dict[str, Tensor]:
    return copy.deepcopy(module.state_dict())
