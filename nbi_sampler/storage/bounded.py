"""Networks of a size that a file justifies: what a recipe asks for is counted before memory is taken.

The file that holds a recipe has to hold the parameters of the network too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from nbi_sampler.storage.archive import ArchiveError

__all__ = ["bounded_modules"]

# Numbers that may be made for each one that the file holds: starting values, masks and what makes these.
SLACK = 64
# Numbers that any module may make besides, and what a call costs of them however small its result is.
FREE, EACH_CALL = 2**24, 1000
# No network has more layers or units, but for one with as many parameters.
LARGEST_SETTING = 200_000


class bounded_modules(TorchFunctionMode):
    """Within this block, torch makes no more numbers than the parameters in a file justify.

    Every call is tried without memory first (on torch's "meta" device), which gives the size of its result.

    Parameters
    ----------
    recipe : mapping
        Settings of the module.
    n_values : int
        Numbers in the file that will be its parameters.

    Raises
    ------
    ArchiveError
        At the first call beyond, and at once where one of the settings is beyond all bounds.
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
                raise ArchiveError(f"it is damaged: its field {name!r} is {setting!r}, beyond all networks")

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Count, then call."""
        kwargs = kwargs or {}
        self._left -= EACH_CALL + _size_of_result(func, args, kwargs)
        if self._left < 0:
            raise ArchiveError(
                "it is damaged: its field 'recipe' asks for a network larger than the "
                f"{self._n_values:,} parameters that are there"
            )
        return func(*args, **kwargs)


def _size_of_result(func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> int:
    """Numbers that a call would make; 0 where only the call itself can tell."""
    try:
        with torch.device("meta"), torch.no_grad():
            result = func(*_without_memory(args), **_without_memory(dict(kwargs)))
    # No rule says what torch, or a subclass of its tensors, raises where sizes depend on values.
    except Exception:
        return 0
    return sum(each.numel() for each in _leaves(result) if isinstance(each, Tensor))


def _without_memory(value: Any) -> Any:
    """The same arguments with tensors of the same shapes that have no values."""
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
