"""The colours of all plots. Called by the plots of runs and of diagnostics."""

from __future__ import annotations

__all__ = ["COLOURS"]

# Okabe & Ito (2008), from blue to sky blue: told apart with every kind of colour vision.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
