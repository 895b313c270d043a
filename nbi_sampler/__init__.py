"""Sequential neural posterior estimation with importance sampling, as a sampler for bilby.

Importing the package changes nothing global; bilby finds the sampler by its entry point, `sampler="nbi"`.

References
----------
Zhang, Bloom & Hernitschek 2023, arXiv:2312.03824
"""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "0.1.0"
