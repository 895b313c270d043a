"""Plugins: what they can extend, which ones are installed, and which events of a run they receive.

A plugin needs only `hookimpl` from here (docs/plugins.md). The package uses `installed()`, and `Registry` for
objects that are chosen by name.
"""

from __future__ import annotations

from nbi_sampler.plugins.hookspecs import hookimpl
from nbi_sampler.plugins.manager import installed
from nbi_sampler.plugins.registry import Registry

__all__ = ["Registry", "hookimpl", "installed"]
