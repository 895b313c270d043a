"""The engine that is trained once for many targets."""

from __future__ import annotations

__all__ = ["OOD_THRESHOLD"]

# p-value below which data are taken to be out of the distribution of the simulations: of targets that are in
# it, one in a hundred would be named, and many targets are only warned of where more are than that.
OOD_THRESHOLD = 0.01
