"""The sampler as bilby sees it. No other layer knows bilby's sampler classes.

A keyword of the sampler needs a name in `keywords.DEFAULTS`, a check in `keywords.read_settings` and a field
of its `Settings`. `problem` passes it to the run.
"""

from __future__ import annotations

from nbi_sampler.sampler.nbi import Nbi

__all__ = ["Nbi"]
