"""Objects of a run as JSON text and plain arrays, and back, without pickle, so that reading executes no code.

A class makes its object again from the arguments of its constructor, which are stored as attributes of the
same names. An object with two references is written once and is one object again. A flow is made from its
recipe and then gets its parameters. Only the classes that the caller allows can be made, and their arguments
are checked first.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nbi_sampler.algorithm.approximation import Approximation
from nbi_sampler.algorithm.proposals.affine import AffineMap
from nbi_sampler.algorithm.proposals.by_state import IndependentStates, StateMixture, SubspaceProposal
from nbi_sampler.algorithm.proposals.kernels import LatentKernels, MarginalKernels, UnitCubeKernels
from nbi_sampler.algorithm.proposals.marginal_map import MarginalMap
from nbi_sampler.algorithm.proposals.proposal import FlowProposal, MixtureProposal, PriorProposal
from nbi_sampler.algorithm.proposals.student_mixture import StudentMixture
from nbi_sampler.algorithm.proposals.thinned import ThinnedProposal
from nbi_sampler.core.randomness import seeded_modules
from nbi_sampler.evaluation.evaluator import Evaluator
from nbi_sampler.networks.flows import Density, flow_factory
from nbi_sampler.priors.discrete import DiscreteParts
from nbi_sampler.storage.archive import ArchiveError, reading_field
from nbi_sampler.storage.checks import bounded_modules, check_arguments, check_field, name_in_files

__all__ = ["PROPOSAL_KINDS", "Packer", "unpack"]


PROPOSAL_KINDS: tuple[type, ...] = (
    *(MixtureProposal, PriorProposal, FlowProposal, LatentKernels, UnitCubeKernels, MarginalKernels),
    *(StudentMixture, AffineMap, MarginalMap),
    *(StateMixture, IndependentStates, SubspaceProposal, DiscreteParts),
    *(ThinnedProposal, Approximation),
)


class Packer:
    """Takes objects apart into JSON values and arrays.

    Parameters
    ----------
    kinds : sequence of type
        Classes of the objects that may occur.

    Attributes
    ----------
    arrays : dict of str to ndarray
        Named after their object and attribute, for example ``"Draws.0.z"``.
    objects : list of dict
        Every object follows those that it refers to.
    """

    def __init__(self, kinds: Sequence[type]) -> None:
        self.arrays: dict[str, NDArray[Any]] = {}
        self.objects: list[dict[str, Any]] = []
        self._kinds = tuple(kinds)
        self._counts: dict[str, int] = {}
        # The value itself is kept too, so that no other object gets its id.
        self._known: dict[int, tuple[Any, dict[str, str]]] = {}

    def pack(self, value: Any, name: str = "value") -> Any:
        """Convert a value to a form that JSON can hold; other parts go to `arrays` and `objects`.

        Parameters
        ----------
        value : object
            Plain values, sequences (which become tuples), arrays, tensors, flows and objects of the allowed
            classes.
        name : str
            Name for an array that it is or contains.

        Raises
        ------
        TypeError
            For any other value.
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
        if isinstance(value, Evaluator):
            return {"own": "evaluator"}
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
        kind = name_in_files(type(value))
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
    n_dim: int | None = None,
    evaluator: Evaluator | None = None,
) -> Any:
    """Make the objects that a `Packer` took apart.

    Parameters
    ----------
    value : object
        The return value of `Packer.pack`.
    objects, arrays
        Those of the packer.
    kinds : sequence of type
        Classes that may be made.
    own_flow : callable
        ``(n_dims, n_context) -> Density``, which makes flows without a recipe.
    device : torch.device
        Device of flows and tensors.
    n_dim : int, optional
        Number of sampled parameters, if the file gives it.
    evaluator : Evaluator, optional
        That of the current run, which no file contains.

    Raises
    ------
    ArchiveError
        For a value that no `Packer` wrote; the message names the object and the field.
    KeyError
        For a class that is not among ``kinds``, and for a missing object.
    """
    makers = {name_in_files(kind): kind for kind in kinds}
    made: dict[str, Any] = {}
    sizes = {} if n_dim is None else {"n_dim": n_dim}

    def resolved(part: Any) -> Any:
        if isinstance(part, list):
            return tuple(resolved(each) for each in part)
        if not isinstance(part, Mapping):
            return part
        sort, name = next(iter(part.items()), (None, None))
        if len(part) != 1 or sort not in ("object", "array", "tensor", "own") or not isinstance(name, str):
            raise ArchiveError(f"it is damaged: {dict(part)} refers to nothing")
        if sort == "object":
            return made[name]
        if sort == "own":
            return evaluator
        if name not in arrays:
            raise ArchiveError(f"it is damaged: its array {name!r} is missing")
        return arrays[name] if sort == "array" else torch.from_numpy(arrays[name]).to(device)

    check_field("objects", objects, list[dict[str, Any]])
    for i, each in enumerate(objects):
        name = each.get("name", f"objects[{i}]")
        check_field(f"objects[{i}].name", name, str)
        parts = ("recipe", "state") if "recipe" in each else ("arguments",)
        for part in parts:
            check_field(f"{name}.{part}", each.get(part), dict[str, Any])
        given = {key: resolved(part) for key, part in each[parts[-1]].items()}
        if "recipe" in each:
            made[name] = _flow(name, each["recipe"], given, own_flow).to(device).eval()
            continue
        check_field(f"{name}.kind", each.get("kind"), str)
        kind = makers[each["kind"]]
        check_arguments(kind, given, name, sizes)
        with reading_field(name):
            made[name] = kind(**given)
    return resolved(value)


def _flow(
    name: str,
    recipe: Mapping[str, Any],
    state: Mapping[str, Tensor],
    own_flow: Callable[[int, int], Density],
) -> Density:
    """A flow with its parameters, whose number its recipe must match."""
    for key, tensor in state.items():
        check_field(f"{name}.state.{key}", tensor, Tensor)
    settings = dict(recipe)
    n_dims, n_context = settings.get("n_dims", 0), settings.pop("n_context", 0)
    for key, size in (("n_dims", n_dims), ("n_context", n_context)):
        check_field(f"{name}.recipe.{key}", size, int)
    if settings and n_dims == 0:
        raise ArchiveError(f"it is damaged: its field '{name}.recipe.n_dims' is missing, or 0")
    # The initial values are overwritten, and no global generator may advance.
    with seeded_modules(np.random.default_rng(0)):
        if settings:
            n_values = sum(tensor.numel() for tensor in state.values())
            with reading_field(f"{name}.recipe"), bounded_modules(recipe, n_values):
                flow = flow_factory(settings)(n_dims, n_context)
        else:
            flow = own_flow(n_dims, n_context)
    with reading_field(f"{name}.state"):
        flow.load_state_dict(dict(state))
    return flow


def _as_array(tensor: Tensor) -> NDArray[Any]:
    """A tensor as an array; bfloat16, which numpy lacks, becomes single precision without loss."""
    tensor = tensor.detach().cpu()
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
