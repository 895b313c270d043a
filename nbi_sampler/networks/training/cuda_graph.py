"""CUDA graphs: the arithmetic of a Python function, recorded once and repeated without Python.

Everything that is peculiar to torch's captures is here, above all what one leaves behind that breaks off.
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
    """Record of the arithmetic of a function, repeated on the same memory.

    Attributes
    ----------
    generator : torch.Generator
        The device's own, which arithmetic draws from where it names none.
    """

    generator: torch.Generator

    def aside(self) -> AbstractContextManager[None]:
        """Context in which steps are taken before the capture."""

    def rehearsal(self) -> AbstractContextManager[None]:
        """The same where operations raise that wait for the device, which a capture cannot hold."""

    def capture(self, function: Callable[[], None], generator: torch.Generator) -> None:
        """Record a function, which may draw from a generator; where it raises, all is as it was before."""

    def replay(self) -> None:
        """Repeat what was recorded, with the next random numbers."""


GraphOn = Callable[[torch.device], "Graph | None"]


class CudaGraph:
    """A CUDA graph; see `Graph`.

    Parameters
    ----------
    device : torch.device
        With an index.
    """

    def __init__(self, device: torch.device) -> None:
        self._stream = _side_stream(device)
        self._graph = torch.cuda.CUDAGraph()
        self.generator = torch.cuda.default_generators[device.index]

    @contextmanager
    def aside(self) -> Iterator[None]:
        """See `Graph.aside`: on the stream of the capture."""
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
            # The outer context puts the stream back where the inner one fails to, after a broken capture.
            # What other threads do on the device meanwhile is neither refused nor an end to the capture.
            with (
                torch.cuda.stream(self._stream),
                torch.cuda.graph(self._graph, stream=self._stream, capture_error_mode="thread_local"),
            ):
                function()
        except Exception:
            # A generator would refuse to draw ever again: it believes the capture that broke off to go on.
            for each, state in before:
                each.graphsafe_set_state(state)
            _broken.append(self._graph)
            raise

    def replay(self) -> None:
        """See `Graph.replay`."""
        self._graph.replay()


@functools.cache
def _side_stream(device: torch.device) -> torch.cuda.Stream:
    """One for all captures: torch keeps working memory of cuBLAS for every stream that was used."""
    return torch.cuda.Stream(device)


def _set_sync_debug_mode(mode: int) -> None:
    with warnings.catch_warnings():
        # It says that the mode does not see all: then the capture fails.
        warnings.simplefilter("ignore")
        torch.cuda.set_sync_debug_mode(mode)


# Graphs whose capture broke off. Torch's allocator goes on to ask them what is theirs: they have to live on.
_broken: list[torch.cuda.CUDAGraph] = []


def cuda_graph(device: torch.device) -> Graph | None:
    """A graph where the device has such.

    Not beside the main thread, because captures and their rehearsals change what holds for all threads, and
    not in a process in which one broke off, which leaves torch's allocator in between.
    """
    alone = threading.current_thread() is threading.main_thread()
    return CudaGraph(device) if device.type == "cuda" and alone and not _broken else None
