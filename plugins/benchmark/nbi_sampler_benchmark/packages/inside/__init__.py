"""Code that runs in the environments of other packages: `worker.py`, and an adapter for each package."""

from __future__ import annotations

__all__: list[str] = []
