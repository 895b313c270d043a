"""Comparison with other packages for amortised inference, on the same simulations as `nbi_sampler.NBI`.

Each package runs in its own Python environment, because their requirements conflict. The code in the folder
`inside` runs there and imports nothing of this package.
"""

from __future__ import annotations

__all__: list[str] = []
