"""The installed plugins, and the only place that calls their hooks.

If a plugin cannot be imported, does not match the hooks or raises, the log names it, and the run continues
without it. The offers of the package itself are not registered here, so that nothing of the package is
imported. The caller adds them (`registry.Registry`).
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
        Name of its entry point, or of its module if it belongs to the package or was registered by hand.
    distribution, version : str
        Empty if no distribution declares it.
    """

    name: str
    distribution: str = ""
    version: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.distribution} {self.version})" if self.distribution else self.name


CORE = Plugin("nbi_sampler", "nbi-sampler", __version__)


class Plugins:
    """Loaded plugins, and calls of their hooks.

    Parameters
    ----------
    found : iterable of EntryPoint
        Plugins in any order. They are called in alphabetical order of their names.

    Attributes
    ----------
    broken : dict of Plugin to str
        Plugins that could not be loaded, with the reasons.
    """

    def __init__(self, found: Iterable[EntryPoint]) -> None:
        self.broken: dict[Plugin, str] = {}
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(hookspecs)
        self._loaded: dict[str, Plugin] = {}
        self._reported: set[str] = set()
        # pluggy calls the plugin first that was registered last.
        for plugin, entry_point in sorted(
            map(_described, found), key=lambda each: astuple(each[0]), reverse=True
        ):
            self._load(plugin, entry_point)

    @property
    def loaded(self) -> tuple[Plugin, ...]:
        """Loaded plugins, without the package itself, in alphabetical order."""
        return tuple(sorted(self._loaded.values(), key=lambda plugin: plugin.name))

    def register(self, namespace: object, plugin: Plugin) -> None:
        """Register a plugin in this process without an entry point, for example in a notebook.

        Parameters
        ----------
        namespace : object
            Module, or any object with attributes that are marked with `hookspecs.hookimpl`.
        plugin : Plugin
            Its name has to be unique.

        Raises
        ------
        ValueError, pluggy.PluginValidationError
            If the name is taken, or if the plugin implements something that is not a hook.
        """
        if self._manager.has_plugin(plugin.name) or plugin.name == CORE.name:
            taken = self._loaded.get(plugin.name, CORE)
            raise ValueError(f"plugin: expected a unique name, got that of {taken}; choose another")
        self._manager.register(namespace, plugin.name)
        try:
            self._check(namespace)
        except ValueError:
            self._manager.unregister(name=plugin.name)
            raise
        self._loaded[plugin.name] = plugin

    def unregister(self, name: str) -> None:
        """Ignore a plugin from now on."""
        self._manager.unregister(name=name)
        del self._loaded[name]

    def hooks(self, plugin: Plugin) -> dict[str, str]:
        """Hooks that a plugin implements, each with the first line of its function's docstring."""
        return {
            hook: (inspect.getdoc(function) or "").split("\n")[0]
            for hook in HOOKS
            for owner, function, _ in self._implementations(hook)
            if owner == plugin
        }

    def answers(
        self, hook: str, arguments: Mapping[str, Any], left_out: set[Plugin] | None = None
    ) -> Iterator[tuple[Plugin, Any]]:
        """Yield the return values of a hook, one plugin after the other.

        Parameters
        ----------
        hook : str
        arguments : mapping of str to object
            All arguments of the hook.
        left_out : set of Plugin, optional
            Plugins that are not called. Those that raise are added.

        Yields
        ------
        Plugin, object
            Values of None are left out. Plugins that raise are logged and left out.
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
        """Return the first value of the right type and its plugin; None if there is none."""
        for plugin, answer in self.answers(hook, arguments):
            if isinstance(answer, kind):
                return plugin, answer
            self._report(plugin, f"its {hook} returned {type(answer).__name__}, expected {kind.__name__}")
        return None

    def named(
        self, hook: str, kind: type[Kind], own: Mapping[str, tuple[Plugin, Kind]] | None = None
    ) -> dict[str, tuple[Plugin, Kind]]:
        """Return all offers under a hook by name; ``own`` comes first and cannot be replaced.

        An offer that is text, ``"module:name"``, is imported. If ``kind`` is `object`, the text itself is
        returned.
        """
        offers: dict[str, tuple[Plugin, Kind]] = dict(own or {})
        for plugin, answer in self.answers(hook, {}):
            if not isinstance(answer, Mapping):
                self._report(plugin, f"its {hook} returned {type(answer).__name__}, expected a dictionary")
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
        """Plugin, function and names of its arguments, in the order of the calls."""
        implementations = reversed(getattr(self._manager.hook, hook).get_hookimpls())
        return [(self._loaded[each.plugin_name], each.function, each.argnames) for each in implementations]

    def _load(self, plugin: Plugin, entry_point: EntryPoint) -> None:
        try:
            self.register(entry_point.load(), plugin)
        # The import of a module may do anything, including an exit of the process.
        except (Exception, SystemExit) as error:
            self.broken[plugin] = _text(error)
            logger.warning("the plugin %s is not loaded: %s", plugin, _text(error))
            logger.debug("where %s raised", plugin, exc_info=error)

    def _check(self, namespace: object) -> None:
        """Refuse what pluggy accepts: a plugin without a hook, an unknown hook, and a hook wrapper."""
        callers = self._manager.get_hookcallers(namespace)
        if not callers:
            raise ValueError("it implements no hook; mark its functions with nbi_sampler.plugins.hookimpl")
        for caller in callers:
            own = [each for each in caller.get_hookimpls() if each.plugin is namespace]
            if not caller.has_spec() and not all(each.optionalhook for each in own):
                raise ValueError(f"{caller.name!r} is not a hook; {nearest(caller.name, HOOKS)}")
            if any(each.wrapper or each.hookwrapper for each in own):
                raise ValueError(f"{caller.name!r} is a hook wrapper, which is not supported; return a value")

    def _report(self, plugin: Plugin, text: str) -> None:
        """Log a message once, because a hook may be called thousands of times."""
        message = f"the plugin {plugin} is not used here: {text}"
        if message not in self._reported:
            self._reported.add(message)
            logger.warning(message)


@functools.cache
def installed() -> Plugins:
    """Plugins of the installed distributions, loaded at the first call in a process."""
    return Plugins(entry_points(group=PROJECT))


def _described(entry_point: EntryPoint) -> tuple[Plugin, EntryPoint]:
    distribution = entry_point.dist
    if distribution is None:
        return Plugin(entry_point.name), entry_point
    return Plugin(entry_point.name, distribution.name, distribution.version), entry_point


def _imported(offer: object) -> object:
    """Import the object of an offer if it is text such as ``"module:name"``."""
    return pkgutil.resolve_name(offer) if isinstance(offer, str) and ":" in offer else offer


def _text(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
