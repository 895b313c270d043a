"""CUDA graphs: the arithmetic of a Python function, recorded once and repeated without Python.

This module contains all peculiarities of torch's captures, in particular the state that a failed one leaves
behind.
"""

from __future__ import annotations

import functools
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

import torch

__all__ = ["CudaGraph", "Graph", "GraphOn", "cuda_graph"]


class Graph(Protocol):
    """Recorded arithmetic of a function that is repeated on the same memory.

    Attributes
    ----------
    generator : torch.Generator
        The default generator of the device.
    """

    generator: torch.Generator

    def aside(self) -> AbstractContextManager[None]:
        """Context for steps before the capture."""

    def rehearsal(self) -> AbstractContextManager[None]:
        """The same, but operations that wait for the device, which a capture cannot hold, raise."""

    def capture(self, function: Callable[[], None], generator: torch.Generator) -> None:
        """Record a function, which may draw from a generator; if it raises, the former state is restored."""

    def replay(self) -> None:
        """Repeat the recorded arithmetic with the next random numbers."""


GraphOn = Callable[[torch.device], "Graph | None"]


class CudaGraph:
    """A CUDA graph; see `Graph`.

    Parameters
    ----------
    device : torch.device
        A device with an index.
    """

    def __init__(self, device: torch.device) -> None:
        self._stream = _side_stream(device)
        self._graph = torch.cuda.CUDAGraph()
        self.generator = torch.cuda.default_generators[device.index]

    @contextmanager
    def aside(self) -> Iterator[None]:
        """See `Graph.aside`; the stream is that of the capture."""
        current = torch.cuda.current_stream(self._stream.device)
        self._stream.wait_stream(current)
        try:
            with torch.cuda.stream(self._stream):
                yield
        finally:
            current.wait_stream(self._stream)

    @contextmanager
    def rehearsal(self) -> Iterator[None]:
        """See `Graph.rehearsal`."""
        before = torch.cuda.get_sync_debug_mode()
        with self.aside():
            _set_sync_debug_mode(2)
            try:
                yield
            finally:
                _set_sync_debug_mode(before)

    def capture(self, function: Callable[[], None], generator: torch.Generator) -> None:
        """See `Graph.capture`."""
        before = [(each, each.clone_state()) for each in (self.generator, generator)]
        try:
            self._graph.register_generator_state(generator)
            # The outer context restores the stream if the inner one fails to do so after a failed capture.
            # Other threads may use the device meanwhile. That neither fails nor ends the capture.
            with (
                torch.cuda.stream(self._stream),
                torch.cuda.graph(self._graph, stream=self._stream, capture_error_mode="thread_local"),
            ):
                function()
        except Exception:
            # A generator would never draw again, because it assumes that the failed capture is still in
            # progress.
            for each, state in before:
                each.graphsafe_set_state(state)
            _broken.append(self._graph)
            raise

    def replay(self) -> None:
        """See `Graph.replay`."""
        self._graph.replay()


@functools.cache
def _side_stream(device: torch.device) -> torch.cuda.Stream:
    """The stream of all captures; torch keeps working memory of cuBLAS for every stream that was used."""
    return torch.cuda.Stream(device)


def _set_sync_debug_mode(mode: int) -> None:
    with warnings.catch_warnings():
        # torch warns that this mode does not find everything. What it misses makes the capture fail.
        warnings.simplefilter("ignore")
        torch.cuda.set_sync_debug_mode(mode)


# Graphs of failed captures. Torch's allocator keeps asking them about memory, so they must not be freed.
_broken: list[torch.cuda.CUDAGraph] = []


def cuda_graph(device: torch.device) -> Graph | None:
    """Make a graph if the device supports it.

    It returns None beside the main thread, because captures and their rehearsals affect all threads. It also
    returns None after a failed capture in this process, which leaves torch's allocator in an undefined state.
    """
    alone = threading.current_thread() is threading.main_thread()
    return CudaGraph(device) if device.type == "cuda" and alone and not _broken else None
