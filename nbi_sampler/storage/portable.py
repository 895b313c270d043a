"""Objects of a run as JSON text and plain arrays, and back: nothing is pickled, so reading executes no code.

An object is made again by its class from the arguments of its constructor, each of which it keeps as an
attribute of the same name; one that is referred to twice is written once and is one object again. A flow is
made from its recipe and given its parameters. Classes are found by name among those that the caller allows.
Called by `checkpoint`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nbi_sampler.flows import Density, flow_factory
from nbi_sampler.randomness import seeded_modules

__all__ = ["Packer", "unpack"]


class Packer:
    """Takes objects apart.

    Parameters
    ----------
    kinds : sequence of type
        Classes of which objects may be.

    Attributes
    ----------
    arrays : dict of str to ndarray
        Named after the object and the attribute that they were found in, for example ``"Draws.0.z"``.
    objects : list of dict
        In an order in which every object comes after those that it refers to.
    """

    def __init__(self, kinds: Sequence[type]) -> None:
        self.arrays: dict[str, NDArray[Any]] = {}
        self.objects: list[dict[str, Any]] = []
        self._kinds = tuple(kinds)
        self._counts: dict[str, int] = {}
        # The value itself is kept too, so that no other can get its id.
        self._known: dict[int, tuple[Any, dict[str, str]]] = {}

    def pack(self, value: Any, name: str = "value") -> Any:
        """What JSON can hold of a value; the rest goes to `arrays` and `objects`.

        Parameters
        ----------
        value : object
            Plain values, sequences (which come back as tuples), arrays, tensors, flows and objects of the
            allowed kinds.
        name : str
            For an array that it is or holds.

        Raises
        ------
        TypeError
            For anything else.
        """
        if isinstance(value, np.generic):
            value = value.item()
        if value is None or isinstance(value, bool | int | float | str):
            return value
        if id(value) not in self._known:
            reference = self._reference(value, name)
            if isinstance(reference, list):
                return reference
            self._known[id(value)] = (value, reference)
        return self._known[id(value)][1]

    def _reference(self, value: Any, name: str) -> Any:
        if type(value) in self._kinds:
            return self._packed_object(value)
        if isinstance(value, Density):
            return self._packed_flow(value)
        if isinstance(value, tuple | list):
            return [self.pack(each, f"{name}.{i}") for i, each in enumerate(value)]
        if isinstance(value, Tensor):
            self.arrays[name] = _as_array(value)
            return {"tensor": name}
        if isinstance(value, np.ndarray) and value.dtype.kind in "biufc":
            self.arrays[name] = value
            return {"array": name}
        raise TypeError(
            f"{name}: expected numbers, text, arrays, tensors or one of "
            f"{', '.join(kind.__name__ for kind in self._kinds)}; got {type(value).__name__}"
        )

    def _packed_object(self, value: Any) -> dict[str, str]:
        kind = type(value).__name__
        name = self._name(kind)
        arguments = {
            each: self.pack(getattr(value, each), f"{name}.{each}")
            for each in inspect.signature(type(value)).parameters
        }
        self.objects.append({"name": name, "kind": kind, "arguments": arguments})
        return {"object": name}

    def _packed_flow(self, flow: Density) -> dict[str, str]:
        name = self._name("flow")
        state = {key: self.pack(value, f"{name}.{key}") for key, value in flow.state_dict().items()}
        self.objects.append({"name": name, "recipe": dict(flow.recipe), "state": state})
        return {"object": name}

    def _name(self, kind: str) -> str:
        number = self._counts.get(kind, 0)
        self._counts[kind] = number + 1
        return f"{kind}.{number}"


def unpack(
    value: Any,
    objects: Sequence[Mapping[str, Any]],
    arrays: Mapping[str, NDArray[Any]],
    kinds: Sequence[type],
    own_flow: Callable[[int, int], Density],
    device: torch.device,
) -> Any:
    """Put together what a `Packer` took apart.

    Parameters
    ----------
    value : object
        As `Packer.pack` returned it.
    objects : sequence of mapping
    arrays : mapping of str to ndarray
    kinds : sequence of type
        Classes that may be made.
    own_flow : callable
        ``(n_dims, n_context) -> Density``: makes those that have no recipe.
    device : torch.device
        Where flows and tensors are to live.

    Raises
    ------
    KeyError, TypeError, ValueError, RuntimeError
        For anything that no `Packer` wrote.
    """
    makers = {kind.__name__: kind for kind in kinds}
    made: dict[str, Any] = {}

    def resolved(part: Any) -> Any:
        if isinstance(part, list):
            return tuple(resolved(each) for each in part)
        if not isinstance(part, Mapping):
            return part
        ((sort, name),) = part.items()
        if sort == "object":
            return made[name]
        array = arrays[name]
        return {"array": lambda: array, "tensor": lambda: torch.from_numpy(array).to(device)}[sort]()

    for each in objects:
        if "recipe" in each:
            flow = _flow(each["recipe"], own_flow)
            flow.load_state_dict({key: resolved(part) for key, part in each["state"].items()})
            made[each["name"]] = flow.to(device).eval()
        else:
            arguments = {key: resolved(part) for key, part in each["arguments"].items()}
            made[each["name"]] = makers[each["kind"]](**arguments)
    return resolved(value)


def _flow(recipe: Mapping[str, Any], own_flow: Callable[[int, int], Density]) -> Density:
    settings = dict(recipe)
    n_dims, n_context = settings.get("n_dims", 0), settings.pop("n_context", 0)
    make = flow_factory(settings) if settings else own_flow
    # What it starts from is overwritten; no global generator may move.
    with seeded_modules(np.random.default_rng(0)):
        return make(n_dims, n_context)


def _as_array(tensor: Tensor) -> NDArray[Any]:
    """A tensor as an array; bfloat16, which numpy lacks, as single precision, which holds it exactly."""
    tensor = tensor.detach().cpu()
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
