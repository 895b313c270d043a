"""Checks of the contents of a file: types and sizes of values, and sizes of networks.

Intact files pass all checks. A file may be damaged or edited, so it is checked before its objects are made
and before memory is allocated for them.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any, Union, get_args, get_origin, get_type_hints

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from nbi_sampler.storage.archive import ArchiveError

__all__ = ["bounded_modules", "check_arguments", "check_field", "name_in_files"]

# Sizes of the arguments of classes, by class and path of attributes. A letter stands for the same number
# within one object, and n_dim for the same number in a file. A tuple counts as its length, an integer as
# itself. A proposal has its own number of coordinates, d, because one for a discrete state has fewer than
# there are parameters.
SIZES: dict[str, dict[str, str]] = {
    "AffineMap": {"mean": "d", "factor": "d d"},
    "FlowProposal": {"cut": "d", "affine.mean": "d", "context": "1 c"},
    "StudentMixture": {"shares": "m", "centres": "m d", "factors": "m d d"},
    "LatentKernels": {"cut": "d", "mixture.centres": "m d"},
    "UnitCubeKernels": {"cut": "d", "mixture.centres": "m d"},
    "MarginalKernels": {"cut": "d", "mixture.centres": "m d", "marginal_map.location": "d"},
    "MarginalMap": {"location": "d", "scale": "d", "skewness": "d", "lightness": "d"},
    "DiscreteParts": {"lower": "d", "upper": "d"},
    "Approximation": {"centre": "n_dim"},
    "IndependentStates": {"parts.lower": "d", "log_shares": "d", "mean": "d", "covariance": "d d"},
    "StateMixture": {"parts.lower": "d", "states": "m d", "shares": "m", "members": "m"},
    "MixtureProposal": {"members": "m", "shares": "m"},
    "Evaluation": {"theta": "n n_dim", "log_likelihood": "n", "predictions": "n k"},
    "PartialBatch": {
        **{"z": "n n_dim", "theta": "n n_dim", "finished": "n", "log_likelihood": "n"},
        "predictions": "n k",
    },
    "Predicted": {"rows": "n", "predictions": "n k"},
    "Draws": {"z": "n n_dim", "log_ratio": "n", "evaluation.log_likelihood": "n"},
    "Pending": {"z": "n n_dim", "log_ratio": "n", "partial.z": "n n_dim"},
    "History": {
        **{"batches": "b", "proposals": "b", "members": "m", "counts": "m"},
    },
    "DataLayout": {"shift": "r 1", "scale": "r 1", "low": "r 1", "high": "r 1"},
    "DataSummary": {"mean": "n", "components": "n k"},
    "Familiarity": {"mean": "k", "whitening": "k k", "scores": "m"},
    "Focused": {"samples": "n n_dim", "log_likelihood": "n", "log_weights": "n"},
}
# Attributes that give the number of coordinates of a proposal; a mixture has that of its members.
COORDINATES = {
    **{"PriorProposal": "n_dim", "SubspaceProposal": "n_dim", "FlowProposal": "cut"},
    **{"LatentKernels": "cut", "UnitCubeKernels": "cut", "MarginalKernels": "cut"},
    "ThinnedProposal": "approximation.centre",
    **{"StateMixture": "parts.n_dim", "IndependentStates": "parts.n_dim"},
}
# Attributes of the other classes that are proposals for all parameters.
FOR_ALL_PARAMETERS = {
    "History": ("proposals", "members", "retired"),
    "Best": ("proposal",),
    "Pending": ("proposal",),
    "ThinnedProposal": ("proposal",),
}
_KINDS_OF_ARRAYS = {np.float64: "f", np.bool_: "b"}
# Files use the class names of the first version. Files of all versions can therefore be read, and the digest
# of a model does not change.
FORMER_NAMES = {
    "DataFormat": "DataLayout",
    "OutOfDistributionTest": "Familiarity",
    "SequentialPosterior": "Focused",
}


def name_in_files(kind: type) -> str:
    """Name of a class in files; it stays the same if the class is renamed."""
    return FORMER_NAMES.get(kind.__name__, kind.__name__)


# Numbers that may be created for each number in the file: starting values, masks and intermediate results.
SLACK = 64
# Numbers that any module may create in addition, and the least count of a call, however small its result.
FREE, EACH_CALL = 2**24, 1000
# No network has more layers or units, unless it has as many parameters.
LARGEST_SETTING = 200_000


def check_field(name: str, value: Any, hint: Any) -> None:
    """Raise an `ArchiveError` if a value does not have the type that its place requires.

    Parameters
    ----------
    name : str
        Name of the place, for messages.
    value : object
    hint : type
        Type in the form of an annotation. A class that only describes methods (`typing.Protocol`) accepts any
        object that is not a plain value. A number whose name begins with ``n_`` is a count.
    """
    is_count = name.rpartition(".")[2].startswith("n_") and isinstance(value, int)
    if not _conforms(value, hint) or (is_count and value < 0):
        shown = hint.__name__ if isinstance(hint, type) else str(hint).replace("typing.", "")
        raise ArchiveError(f"it is damaged: its field {name!r} is not of type {shown}: {_short(value)}")


def check_arguments(
    kind: type, arguments: Mapping[str, Any], name: str, sizes: MutableMapping[str, int]
) -> None:
    """Raise an `ArchiveError` if the arguments have the wrong types or sizes for a class.

    Parameters
    ----------
    kind : type
    arguments : mapping of str to object
    name : str
        Name of the object, for messages.
    sizes : mutable mapping of str to int
        Holds ``n_dim`` if it is known; otherwise it is added.
    """
    hints = _hints(kind)
    for key, parameter in inspect.signature(kind).parameters.items():
        if key not in arguments and parameter.default is parameter.empty:
            raise ArchiveError(f"it is damaged: its field '{name}.{key}' is missing")
    for key, value in arguments.items():
        if key not in hints:
            raise ArchiveError(f"it is damaged: it has an unknown field '{name}.{key}'")
        check_field(f"{name}.{key}", value, hints[key])
    own: dict[str, int] = {}
    for path, expected in SIZES.get(name_in_files(kind), {}).items():
        _check_sizes(f"{name}.{path}", _at(arguments, path), expected.split(), own, sizes)
    for path, member, n_coordinates in _members(kind.__name__, arguments, sizes.get("n_dim")):
        found = _n_coordinates(member)
        if n_coordinates is not None and found not in (None, n_coordinates):
            raise ArchiveError(
                f"it is damaged: its field '{name}.{path}' has {found} coordinates, not {n_coordinates}"
            )


def _members(
    kind: str, arguments: Mapping[str, Any], n_dim: int | None
) -> Iterator[tuple[str, Any, int | None]]:
    """Proposals that are parts of an object, by attribute, with the number of coordinates that each needs."""
    members = arguments.get("members", ())
    if kind == "StateMixture":
        for state, member in zip(arguments["states"], members, strict=True):
            yield "members", member, int((state == 0).sum())
    elif kind == "MixtureProposal":
        for member in members:
            yield "members", member, _n_coordinates(members[0])
    elif kind == "SubspaceProposal":
        kept = arguments["kept"]
        if kept.ndim != 1 or (np.diff(kept, prepend=-1, append=arguments["n_dim"]) < 1).any():
            raise ArchiveError("it is damaged: its field 'SubspaceProposal.kept' has unordered indices")
        yield "member", arguments["member"], len(kept)
    for path in FOR_ALL_PARAMETERS.get(kind, ()):
        value = arguments.get(path)
        for proposal in value if isinstance(value, tuple) else (value,):
            yield path, proposal, n_dim


def _n_coordinates(proposal: Any) -> int | None:
    """Number of coordinates of a checked proposal; None for other objects."""
    kind = type(proposal).__name__
    if kind == "MixtureProposal":
        return _n_coordinates(proposal.members[0]) if proposal.members else None
    if kind not in COORDINATES:
        return None
    value = _at({"proposal": proposal}, f"proposal.{COORDINATES[kind]}")
    return value if isinstance(value, int) else len(value)


def _check_sizes(
    name: str, value: Any, expected: list[str], own: dict[str, int], shared: MutableMapping[str, int]
) -> None:
    if value is None:
        return
    shape = (value,) if isinstance(value, int) else (len(value),) if isinstance(value, tuple) else value.shape
    known = [int(each) if each.isdigit() else (shared if each == "n_dim" else own) for each in expected]
    right = len(shape) == len(expected) and all(
        where == size if isinstance(where, int) else where.setdefault(each, size) == size
        for where, each, size in zip(known, expected, shape, strict=True)
    )
    if not right:
        meant = ", ".join(f"{each}={({**shared, **own}).get(each, each)}" for each in expected)
        raise ArchiveError(f"it is damaged: its field {name!r} has shape {tuple(shape)}, not ({meant})")


def _at(arguments: Mapping[str, Any], path: str) -> Any:
    first, *rest = path.split(".")
    return functools.reduce(lambda value, each: getattr(value, each, None), rest, arguments.get(first))


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    """Annotations of the arguments of a class."""
    of_fields = hasattr(kind, "__dataclass_fields__") or issubclass(kind, tuple)
    hints = get_type_hints(kind if of_fields else kind.__init__)  # type: ignore[misc]
    return {name: hints.get(name, Any) for name in inspect.signature(kind).parameters}


def _conforms(value: Any, hint: Any) -> bool:
    origin, inner = get_origin(hint), get_args(hint)
    if hasattr(origin, "__value__"):
        # An alias that is a statement of its own, such as NDArray from NumPy 2.5 on.
        return _conforms(value, origin.__value__[inner])
    if hint is Any:
        return True
    if hint is None or hint is type(None):
        return value is None
    if origin in (Union, types.UnionType):
        return any(_conforms(value, each) for each in inner)
    if hint in (int, float):
        return isinstance(value, int | hint) and not isinstance(value, bool)
    if origin is np.ndarray:
        kinds = _KINDS_OF_ARRAYS.get(get_args(inner[1])[0], "biufc")
        return isinstance(value, np.ndarray) and value.dtype.kind in kinds
    if origin is tuple and inner[-1] is Ellipsis:
        return isinstance(value, tuple) and all(_conforms(each, inner[0]) for each in value)
    if origin is list:
        return isinstance(value, list) and all(_conforms(each, inner[0]) for each in value)
    if origin is dict:
        return isinstance(value, dict) and all(_conforms(each, inner[1]) for each in value.values())
    if not isinstance(hint, type):
        # A function, which no file contains.
        return False
    if getattr(hint, "_is_protocol", False):
        return not isinstance(value, str | int | float | tuple | np.ndarray | type(None))
    return isinstance(value, hint)


def _short(value: Any) -> str:
    text = repr(value) if not isinstance(value, np.ndarray | nn.Module) else type(value).__name__
    return text if len(text) <= 60 else f"{text[:60]}..."


class bounded_modules(TorchFunctionMode):
    """Raise an error if torch creates more numbers in this block than the parameters in a file justify.

    Every call is first made without memory (on torch's "meta" device), which gives the size of its result.
    The first call that exceeds the limit raises an `ArchiveError`, and so does an impossible setting.

    Parameters
    ----------
    recipe : mapping
        Settings of the module.
    n_values : int
        Numbers in the file that will become its parameters.
    """

    def __init__(self, recipe: Mapping[str, Any], n_values: int) -> None:
        super().__init__()
        self._n_values = n_values
        self._left = FREE + SLACK * n_values
        for name, setting in recipe.items():
            if any(
                isinstance(each, int | float) and abs(each) > max(LARGEST_SETTING, n_values)
                for each in _leaves(setting)
            ):
                raise ArchiveError(
                    f"it is damaged: its field {name!r} is {setting!r}, too large for any network"
                )

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Count the numbers of a call, then make it."""
        kwargs = kwargs or {}
        self._left -= EACH_CALL + _size_of_result(func, args, kwargs)
        if self._left < 0:
            raise ArchiveError(
                "it is damaged: its field 'recipe' describes a network larger than the "
                f"{self._n_values:,} parameters in the file"
            )
        return func(*args, **kwargs)


def _size_of_result(func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> int:
    """Numbers that a call would create; 0 if only the call itself can tell."""
    try:
        with torch.device("meta"), torch.no_grad():
            result = func(*_without_memory(args), **_without_memory(dict(kwargs)))
    # If sizes depend on values, torch and subclasses of its tensors may raise any error.
    except Exception:
        return 0
    return sum(each.numel() for each in _leaves(result) if isinstance(each, Tensor))


def _without_memory(value: Any) -> Any:
    """The same arguments with tensors of the same shapes that hold no values."""
    if isinstance(value, Tensor):
        return torch.empty_like(value, device="meta")
    if isinstance(value, dict):
        return {key: _without_memory(each) for key, each in value.items()}
    return type(value)(map(_without_memory, value)) if type(value) in (list, tuple) else value


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for each in value:
            yield from _leaves(each)
    else:
        yield value
