"""Training steps that a graph records once and repeats, so that a GPU does not wait for Python.

The graph holds noise, features, loss, gradient and its clipping. The step of the optimiser, one fused kernel,
is not in it, because its learning rate and momentum are Python numbers that change in every step. The
objectives of `objectives` can be recorded.
"""

from __future__ import annotations

import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn

from nbi_sampler.core.config import FIT
from nbi_sampler.networks.training.cuda_graph import Graph
from nbi_sampler.networks.training.one_vector import clear_gradients

__all__ = ["ByRows", "CapturedStep", "gives_rows"]

logger = logging.getLogger(__name__)


class ByRows(ABC):
    """An objective whose losses are functions of rows of data at a fixed place in memory.

    Attributes
    ----------
    generator : torch.Generator
        Source of the random numbers of rows and losses.
    n_batches : int
        Number of losses in an epoch.
    """

    generator: torch.Generator
    n_batches: int

    @abstractmethod
    def rows(self) -> Iterator[Tensor]:
        """Yield the rows of ``n_batches`` batches of an epoch, each a tensor of int of the same shape."""

    @abstractmethod
    def loss_of(self, rows: Tensor) -> Tensor:
        """Loss of the given rows, a scalar, with new random numbers."""

    def batches(self) -> Iterator[Tensor]:
        """Yield the losses of one epoch, each computed on demand."""
        return (self.loss_of(rows) for rows in self.rows())


def gives_rows(objective: object) -> TypeGuard[ByRows]:
    """Return whether the losses of an objective are functions of its rows, not of batches of its own."""
    return isinstance(objective, ByRows) and getattr(objective.batches, "__func__", None) is ByRows.batches


class CapturedStep:
    """A training step that is recorded after a few calls and repeated from then on.

    Only `read` waits for the device. It also reads whether loss and gradient were finite, which the optimiser
    learns as from torch's gradient scaler.

    Parameters
    ----------
    module : nn.Module
    parameters : sequence of nn.Parameter
        Parameters of the module, or the `one_vector` of them, on one device. They are changed in place.
    objective : ByRows
    optimiser : torch.optim.Optimizer
        A fused optimiser, which accepts ``found_inf``.
    gradient_norm : float
        Norm to which gradients are clipped.
    graph : Graph
    """

    def __init__(
        self,
        module: nn.Module,
        parameters: Sequence[nn.Parameter],
        objective: ByRows,
        optimiser: torch.optim.Optimizer,
        gradient_norm: float,
        graph: Graph,
    ) -> None:
        self._parameters = parameters
        self._buffers = list(module.buffers())
        self.objective = objective
        self._optimiser: Any = optimiser
        self._gradient_norm = gradient_norm
        self._graph: Graph | None = graph
        self._n_to_come = FIT.n_warm_up
        self._n_replayed = 0
        self._rows: Tensor | None = None
        device = self._parameters[0].device
        self._loss, self._sum, self._n_skipped = torch.zeros(3, dtype=torch.float64, device=device).unbind()
        self._skip = torch.zeros((), device=device)

    def take(self, rows: Tensor) -> bool:
        """Take the step for these rows; return False if the caller has to, within `aside`."""
        if self._graph is None:
            return False
        if self._n_to_come:
            self._n_to_come -= 1
            return False
        if self._rows is None:
            try:
                self._capture(self._graph, rows)
            except Exception as error:
                self._give_up(error)
                return False
        else:
            self._rows.copy_(rows)
            self._graph.replay()
        self._optimiser.found_inf = self._skip
        self._optimiser.step()
        self._optimiser.found_inf = None
        self._n_replayed += 1
        return True

    def aside(self) -> AbstractContextManager[None]:
        """Context for steps that the caller takes."""
        return nullcontext() if self._graph is None else self._graph.aside()

    def read(self) -> tuple[float, int, int]:
        """Sum of the finite losses, and the numbers of steps taken and omitted since the last call."""
        if not self._n_replayed:
            return 0.0, 0, 0
        total, n_skipped = torch.stack([self._sum, self._n_skipped]).tolist()
        n_replayed = self._n_replayed
        self._clear()
        return total, n_replayed - int(n_skipped), int(n_skipped)

    def _gradient(self) -> None:
        """Clipped gradient for the rows, and whether the step is to be omitted; this part is recorded."""
        assert self._rows is not None
        clear_gradients(self._parameters)
        loss = self.objective.loss_of(self._rows)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self._parameters, self._gradient_norm)
        loss = loss.detach()
        finite = torch.isfinite(loss) & torch.isfinite(norm)
        self._skip.copy_(~finite)
        self._loss.copy_(loss)
        self._sum.add_(torch.where(finite, self._loss, 0.0))
        self._n_skipped.add_(self._skip)

    def _capture(self, graph: Graph, rows: Tensor) -> None:
        """Record the step and repeat it for these rows; its loss must match that of the same random numbers.

        The loss differs if an objective draws numbers outside of torch or counts its calls, because the graph
        freezes them.
        """
        generators = {graph.generator, self.objective.generator}
        states = [(generator, generator.get_state()) for generator in generators]
        buffers = [(buffer, buffer.clone()) for buffer in self._buffers]

        def as_before() -> None:
            for generator, state in states:
                generator.set_state(state)
            for buffer, value in buffers:
                buffer.copy_(value)

        self._rows = rows.clone()
        try:
            with graph.rehearsal():
                self._gradient()
            expected = float(self._loss)
            as_before()
            graph.capture(self._gradient, self.objective.generator)
            self._clear()
            self._loss.fill_(math.nan)
            graph.replay()
            found = float(self._loss)
            same = math.isclose(expected, found, rel_tol=FIT.tolerance, abs_tol=FIT.tolerance)
            if not same and (math.isfinite(expected) or math.isfinite(found)):
                raise RuntimeError(f"its loss is {found:.6g}, expected {expected:.6g}")
        except Exception:
            as_before()
            raise

    def _give_up(self, error: Exception) -> None:
        """Log the reason once, and leave all steps to the caller."""
        # A capture that an operation has broken raises at its end too, but with less information.
        reason = " after ".join(_in_a_line(each) for each in (error, error.__context__) if each is not None)
        logger.info("training steps run one by one, because a CUDA graph cannot hold them: %s", reason)
        self._graph, self._rows = None, None
        self._clear()

    def _clear(self) -> None:
        self._n_replayed = 0
        self._sum.zero_()
        self._n_skipped.zero_()


def _in_a_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
