"""Plugins: what they may extend, which are installed, and what they are told about a run.

A plugin needs `hookimpl` from here (docs/plugins.md); the package asks `installed()`.
"""

from __future__ import annotations

from nbi_sampler.plugins.hookspecs import hookimpl
from nbi_sampler.plugins.manager import installed

__all__ = ["hookimpl", "installed"]
