"""Plugins: what they may extend, which are installed, and what they are told about a run.

A plugin needs `hookimpl` from here (docs/plugins.md); the package asks `installed()`, or a
`Registry` for what goes by name.
"""

from __future__ import annotations

from nbi_sampler.plugins.hookspecs import hookimpl
from nbi_sampler.plugins.manager import installed
from nbi_sampler.plugins.registry import Registry

__all__ = ["Registry", "hookimpl", "installed"]
