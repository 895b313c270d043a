"""Other packages that learn a posterior once for all targets, on the same simulations as `nbi_sampler.NBI`.

Each runs in a Python environment of its own, because what they need excludes each other. What is in the
folder `inside` runs there and imports nothing of this package.
"""

from __future__ import annotations

__all__: list[str] = []
