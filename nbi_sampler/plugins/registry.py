"""Named offers of the package and of the plugins under one hook."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

from nbi_sampler.core.config import nearest
from nbi_sampler.plugins.manager import CORE, Plugin, installed

__all__ = ["Registry"]

Kind = TypeVar("Kind")


class Registry(Mapping[str, Kind], Generic[Kind]):
    """The package's own offers as a mapping, to which plugins add.

    Parameters
    ----------
    hook : str
        Hook under which plugins make offers, such as ``"flows"``.
    argument : str
        The user's keyword that takes the names, such as ``"flow"``, for messages.
    kind : type
        Class of every offer.
    own : mapping of str to Kind
    """

    def __init__(self, hook: str, argument: str, kind: type[Kind], own: Mapping[str, Kind]) -> None:
        self.hook = hook
        self._argument = argument
        self._kind = kind
        self._own = dict(own)

    def __getitem__(self, name: str) -> Kind:
        return self._own[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._own)

    def __len__(self) -> int:
        return len(self._own)

    def offers(self) -> dict[str, tuple[Plugin, Kind]]:
        """All offers and their owners; the package's own come first and cannot be replaced."""
        own = {name: (CORE, offer) for name, offer in self._own.items()}
        return installed().named(self.hook, self._kind, own)

    def named(self, name: object) -> Kind:
        """The offer with this name.

        Raises
        ------
        ValueError
            If there is no such offer; the message names the nearest one.
        """
        offers = self.offers()
        if name not in offers:
            raise ValueError(f"{self._argument}: unknown name {name!r}; {nearest(str(name), offers)}")
        return offers[str(name)][1]
