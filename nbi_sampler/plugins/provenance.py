"""Which plugins take part in the numbers of a run: they belong to what it is a run of, and to its result.

Those that only watch do not count. Called by the sampler and by the fingerprint.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nbi_sampler.featurizers import FEATURIZERS
from nbi_sampler.flows import FLOWS
from nbi_sampler.forward import ForwardModel
from nbi_sampler.plugins.manager import CORE, Plugin
from nbi_sampler.plugins.registry import Registry
from nbi_sampler.training.losses import LOSSES

__all__ = ["plugins_at_work"]

_REGISTRIES: dict[str, Registry[Any]] = {"featurizer": FEATURIZERS, "flow": FLOWS, "loss": LOSSES}


def plugins_at_work(forward: ForwardModel | None, keywords: Mapping[str, Any]) -> tuple[Plugin, ...]:
    """Plugins that made the forward model, or offer what the keywords ask for by name.

    Parameters
    ----------
    forward : ForwardModel, optional
    keywords : mapping of str to object
        With ``featurizer``, ``flow`` and ``loss``, as the sampler takes them.

    Returns
    -------
    tuple of Plugin
        In the order of their names, without the package itself.
    """
    found = set() if forward is None else set(forward.plugins)
    for keyword, registry in _REGISTRIES.items():
        offers = registry.offers()
        found |= {offers[name][0] for name in _names(keywords[keyword]) if name in offers}
    return tuple(sorted(found - {CORE}, key=lambda plugin: plugin.name))


def _names(asked: Any) -> Iterator[str]:
    """Names in a keyword, which may be a dictionary with parts that are dictionaries."""
    if isinstance(asked, str):
        yield asked
    elif isinstance(asked, Mapping):
        yield from _names(asked.get("type"))
        yield from _names(asked.get("parts"))
    elif isinstance(asked, Sequence):
        for part in asked:
            yield from _names(part)
