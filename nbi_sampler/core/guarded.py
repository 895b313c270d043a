"""The settings of numpy, torch and warnings that our own code relies on, whatever the user's script sets.

A script may make numpy raise, or turn warnings into errors. It may make torch compute in double precision, on
another device or without gradients. All of these settings apply to the whole process. Our entry points
set what the package needs, and restore the user's settings when they return. During a call of the user's
own code (likelihood, simulator, noise) the user's settings apply.
"""

from __future__ import annotations

import functools
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch

__all__ = ["in_own_settings", "own_settings", "users_errors", "users_settings", "warn_user"]

Function = TypeVar("Function", bound=Callable[..., Any])

NUMPY_DEFAULTS = {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"}
# Warnings of these modules do not concern the user. Warnings for the user are given outside of the block.
QUIET = r"(nbi_sampler\.|sklearn\.|scipy\.|torch\.|zuko\.)"
# The tests do look at the warnings of our own code.
silence_own_warnings = True


class _Settings(NamedTuple):
    """Settings of a script that affect our code."""

    errors: dict[str, Any]
    dtype: torch.dtype
    device: torch.device
    gradients: bool
    inference: bool
    deterministic: tuple[bool, bool]

    @classmethod
    def now(cls) -> _Settings:
        """Read the current settings."""
        return cls(
            errors=dict(np.geterr()),
            dtype=torch.get_default_dtype(),
            device=torch.get_default_device(),
            gradients=torch.is_grad_enabled(),
            inference=torch.is_inference_mode_enabled(),
            deterministic=(
                torch.are_deterministic_algorithms_enabled(),
                torch.is_deterministic_algorithms_warn_only_enabled(),
            ),
        )


_OWN = _Settings(NUMPY_DEFAULTS, torch.float32, torch.device("cpu"), True, False, (False, False))
# The user's settings while ours are in force.
_users: ContextVar[_Settings | None] = ContextVar("users_settings", default=None)


@contextmanager
def own_settings() -> Iterator[None]:
    """Use the settings of this package within the block; a nested block changes nothing."""
    if _users.get() is not None:
        yield
        return
    users = _Settings.now()
    token = _users.set(users)
    try:
        with warnings.catch_warnings() if silence_own_warnings else nullcontext():
            if silence_own_warnings:
                warnings.filterwarnings("ignore", module=QUIET)
            with _changed(users, _OWN):
                yield
    finally:
        _users.reset(token)


def in_own_settings(function: Function) -> Function:
    """Wrap a function so that it runs in `own_settings`."""

    @functools.wraps(function)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        with own_settings():
            return function(*args, **kwargs)

    return guarded  # type: ignore[return-value]


def warn_user(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the line of the user's script that called this package, however deep the call is.

    `own_settings` would hide a warning that seems to come from the package itself.
    """
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and _is_ours(frame.f_globals.get("__name__", "")):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] in ("nbi_sampler", "contextlib")


def users_settings() -> AbstractContextManager[None]:
    """Restore the settings of the user's script within the block, for calls of the user's code.

    Outside of `own_settings`, as in the processes of a pool, they already apply.
    """
    users = _users.get()
    # This is called for every draw, and in nearly every script there is nothing to do.
    return nullcontext() if users is None or users == _OWN else _returned(users)


def users_errors() -> AbstractContextManager[Any]:
    """Let numpy ignore overflow and similar errors in the user's code, unless the script says otherwise.

    Draws from the prior reach regions in which a model overflows, and numpy would warn at each of them.
    """
    users = _users.get()
    errors = np.geterr() if users is None else users.errors
    return np.errstate(all="ignore") if errors == NUMPY_DEFAULTS else np.errstate(**errors)


@contextmanager
def _returned(users: _Settings) -> Iterator[None]:
    token = _users.set(None)
    try:
        with _changed(_OWN, users):
            yield
    finally:
        _users.reset(token)


@contextmanager
def _changed(before: _Settings, after: _Settings) -> Iterator[None]:
    """Change from the current settings to others, and back, as far as they differ."""
    with ExitStack() as stack:
        if before.errors != after.errors:
            stack.enter_context(np.errstate(**after.errors))
        if before.inference != after.inference:
            stack.enter_context(torch.inference_mode(after.inference))
        if before.gradients != after.gradients or before.inference != after.inference:
            stack.enter_context(torch.set_grad_enabled(after.gradients))
        if before.device != after.device:
            stack.enter_context(after.device)
        if before.dtype != after.dtype:
            stack.callback(torch.set_default_dtype, before.dtype)
            torch.set_default_dtype(after.dtype)
        if before.deterministic != after.deterministic:
            stack.callback(_set_deterministic, before.deterministic)
            _set_deterministic(after.deterministic)
        yield


def _set_deterministic(mode: tuple[bool, bool]) -> None:
    torch.use_deterministic_algorithms(mode[0], warn_only=mode[1])
