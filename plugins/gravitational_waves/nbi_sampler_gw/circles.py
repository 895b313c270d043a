"""Former name of `periodic`, kept for scripts that import from it."""

from __future__ import annotations

from nbi_sampler_gw.periodic import PERIODS, not_periodic

__all__ = ["PERIODS", "open_circles"]

open_circles = not_periodic
