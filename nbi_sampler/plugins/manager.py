"""The plugins that are installed, and the one place where their hooks are called.

A plugin that cannot be imported, does not fit the hooks or raises is named in the log and left out: it never
takes a run down. What the package itself offers is not registered here, so that nothing of the package is
imported: whoever asks adds it (`registry.Registry`).
"""

from __future__ import annotations

import functools
import inspect
import logging
import pkgutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import astuple, dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

import pluggy

from nbi_sampler import __version__
from nbi_sampler.core.config import nearest
from nbi_sampler.plugins import hookspecs
from nbi_sampler.plugins.hookspecs import HOOKS, PROJECT

__all__ = ["CORE", "Plugin", "Plugins", "installed"]

logger = logging.getLogger(__name__)

Kind = TypeVar("Kind")


@dataclass(frozen=True)
class Plugin:
    """A plugin, as far as it is known without running it.

    Attributes
    ----------
    name : str
        Of its entry point, or of its module where it is part of the package or was registered by hand.
    distribution, version : str
        Empty where no distribution names it.
    """

    name: str
    distribution: str = ""
    version: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.distribution} {self.version})" if self.distribution else self.name


CORE = Plugin("nbi_sampler", "nbi-sampler", __version__)


class Plugins:
    """Plugins that have been loaded, and calls of their hooks.

    Parameters
    ----------
    found : iterable of EntryPoint
        In any order: plugins are called in the order of their names.

    Attributes
    ----------
    broken : dict of Plugin to str
        Those that could not be loaded, and why.
    """

    def __init__(self, found: Iterable[EntryPoint]) -> None:
        self.broken: dict[Plugin, str] = {}
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(hookspecs)
        self._loaded: dict[str, Plugin] = {}
        self._reported: set[str] = set()
        # pluggy calls the last that was registered first.
        for plugin, entry_point in sorted(
            map(_described, found), key=lambda each: astuple(each[0]), reverse=True
        ):
            self._load(plugin, entry_point)

    @property
    def loaded(self) -> tuple[Plugin, ...]:
        """Plugins at work, without the package itself, in the order of their names."""
        return tuple(sorted(self._loaded.values(), key=lambda plugin: plugin.name))

    def register(self, namespace: object, plugin: Plugin) -> None:
        """Let a plugin take part in this process without an entry point, in a notebook for example.

        Parameters
        ----------
        namespace : object
            Module, or anything else whose attributes are marked with `hookspecs.hookimpl`.
        plugin : Plugin
            With a name of its own.

        Raises
        ------
        ValueError, pluggy.PluginValidationError
            If the name is taken or what the plugin implements is not a hook.
        """
        if self._manager.has_plugin(plugin.name) or plugin.name == CORE.name:
            taken = self._loaded.get(plugin.name, CORE)
            raise ValueError(f"plugin: expected a name of its own, got that of {taken}; choose another")
        self._manager.register(namespace, plugin.name)
        try:
            self._check(namespace)
        except ValueError:
            self._manager.unregister(name=plugin.name)
            raise
        self._loaded[plugin.name] = plugin

    def unregister(self, name: str) -> None:
        """Leave a plugin out from now on."""
        self._manager.unregister(name=name)
        del self._loaded[name]

    def hooks(self, plugin: Plugin) -> dict[str, str]:
        """Hooks that a plugin implements, each with the first line of the documentation of its function."""
        return {
            hook: (inspect.getdoc(function) or "").split("\n")[0]
            for hook in HOOKS
            for owner, function, _ in self._implementations(hook)
            if owner == plugin
        }

    def answers(
        self, hook: str, arguments: Mapping[str, Any], left_out: set[Plugin] | None = None
    ) -> Iterator[tuple[Plugin, Any]]:
        """Answers to a hook, from one plugin after the other.

        Parameters
        ----------
        hook : str
        arguments : mapping of str to object
            All that the hook has.
        left_out : set of Plugin, optional
            Not called; those that raise are added to it.

        Yields
        ------
        Plugin, object
            But for answers that are None, and for plugins that raise, which are reported.
        """
        for plugin, function, names in self._implementations(hook):
            if left_out and plugin in left_out:
                continue
            try:
                answer = function(*(arguments[name] for name in names))
            except Exception as error:
                self._report(plugin, f"its {hook} raised {_text(error)}")
                logger.debug("where %s raised", plugin, exc_info=error)
                if left_out is not None:
                    left_out.add(plugin)
            else:
                if answer is not None:
                    yield plugin, answer

    def first(self, hook: str, kind: type[Kind], **arguments: Any) -> tuple[Plugin, Kind] | None:
        """The first answer that is of the right kind, and whose it is; None if nobody has one."""
        for plugin, answer in self.answers(hook, arguments):
            if isinstance(answer, kind):
                return plugin, answer
            self._report(plugin, f"its {hook} gave {type(answer).__name__}, expected {kind.__name__}")
        return None

    def named(
        self, hook: str, kind: type[Kind], own: Mapping[str, tuple[Plugin, Kind]] | None = None
    ) -> dict[str, tuple[Plugin, Kind]]:
        """All that is offered under a hook, by name: ``own`` first, which nobody can replace.

        An offer that is text, ``"module:name"``, is imported, unless ``kind`` is `object`, which takes it
        as it is.
        """
        offers: dict[str, tuple[Plugin, Kind]] = dict(own or {})
        for plugin, answer in self.answers(hook, {}):
            if not isinstance(answer, Mapping):
                self._report(plugin, f"its {hook} gave {type(answer).__name__}, expected a dictionary")
                continue
            for name, given in answer.items():
                try:
                    offer = given if kind is object else _imported(given)
                except Exception as error:
                    self._report(plugin, f"importing {given!r} of its {hook} raised {_text(error)}")
                    continue
                if not isinstance(offer, kind):
                    got = type(offer).__name__
                    self._report(plugin, f"{name!r} of its {hook} is a {got}, expected {kind.__name__}")
                elif name in offers:
                    self._report(plugin, f"{name!r} of its {hook} has the name of one of {offers[name][0]}")
                else:
                    offers[name] = (plugin, offer)
        return offers

    def _implementations(self, hook: str) -> list[tuple[Plugin, Callable[..., Any], tuple[str, ...]]]:
        """Owner, function and names of its arguments, in the order in which they are called."""
        implementations = reversed(getattr(self._manager.hook, hook).get_hookimpls())
        return [(self._loaded[each.plugin_name], each.function, each.argnames) for each in implementations]

    def _load(self, plugin: Plugin, entry_point: EntryPoint) -> None:
        try:
            self.register(entry_point.load(), plugin)
        # A module may do anything when it is imported, exit included.
        except (Exception, SystemExit) as error:
            self.broken[plugin] = _text(error)
            logger.warning("the plugin %s is left out: %s", plugin, _text(error))
            logger.debug("where %s raised", plugin, exc_info=error)

    def _check(self, namespace: object) -> None:
        """Refuse what pluggy lets pass: no hook at all, a hook of another name, a wrapper of hooks."""
        callers = self._manager.get_hookcallers(namespace)
        if not callers:
            raise ValueError("it implements no hook; mark its functions with nbi_sampler.plugins.hookimpl")
        for caller in callers:
            own = [each for each in caller.get_hookimpls() if each.plugin is namespace]
            if not caller.has_spec() and not all(each.optionalhook for each in own):
                raise ValueError(f"{caller.name!r} is not a hook; {nearest(caller.name, HOOKS)}")
            if any(each.wrapper or each.hookwrapper for each in own):
                raise ValueError(
                    f"{caller.name!r} is a wrapper, and plugins are called one by one; return a value"
                )

    def _report(self, plugin: Plugin, text: str) -> None:
        """Say it once: a hook may be called thousands of times."""
        message = f"the plugin {plugin} is not used here: {text}"
        if message not in self._reported:
            self._reported.add(message)
            logger.warning(message)


@functools.cache
def installed() -> Plugins:
    """Plugins of the distributions that are installed, loaded at the first call in a process."""
    return Plugins(entry_points(group=PROJECT))


def _described(entry_point: EntryPoint) -> tuple[Plugin, EntryPoint]:
    distribution = entry_point.dist
    if distribution is None:
        return Plugin(entry_point.name), entry_point
    return Plugin(entry_point.name, distribution.name, distribution.version), entry_point


def _imported(offer: object) -> object:
    """Object that an offer names, where it is text such as ``"module:name"``."""
    return pkgutil.resolve_name(offer) if isinstance(offer, str) and ":" in offer else offer


def _text(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
