"""Flows built with zuko, and the wrapper that gives any module the interface of the package's flows.

zuko and a user's module may draw from torch's global generator. It is seeded for them and restored
afterwards.
"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import torch
import zuko
from torch import Tensor, nn

from nbi_sampler.core.config import GmmConfig, NsfConfig
from nbi_sampler.core.randomness import seeded_modules
from nbi_sampler.networks.flows.base import Density

__all__ = ["ModuleFlow", "ZukoFlow", "mixture_density_network", "neural_spline_flow"]


class ZukoFlow(Density):
    """A zuko lazy distribution with the interface of this package.

    Parameters
    ----------
    lazy : nn.Module
        A function of a context (or None) that returns a distribution of vectors of length n_dims.
    """

    def __init__(self, lazy: nn.Module) -> None:
        super().__init__()
        self.lazy = lazy

    def log_prob(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Log density of z, shape (n, n_dims), given (n, n_context) or (1, n_context); shape (n,)."""
        if context is not None:
            context = context.expand(z.shape[0], -1)
        return self.lazy(context).log_prob(z)

    @torch.no_grad()
    def sample(
        self, n: int, context: Tensor | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        """Independent draws, shape (n, n_dims)."""
        with seeded_modules(_generator_seed(generator)):
            if context is None or context.shape[0] == 1:
                return self.lazy(None if context is None else context[0]).sample((n,))
            return self.lazy(context).sample()


class ModuleFlow(Density):
    """A user's module with ``log_prob`` and ``sample``, adapted.

    Parameters
    ----------
    module : nn.Module
        ``log_prob(z, context)`` and ``sample(n, context)``. Both may omit the context if the density is
        unconditional, and ``sample`` may also take a ``generator``.

    Raises
    ------
    TypeError
        If one of the two methods is missing.
    """

    module: Any

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        for method in ("log_prob", "sample"):
            if not callable(getattr(module, method, None)):
                raise TypeError(
                    f"flow: expected a module with log_prob and sample, got {type(module).__name__} without "
                    f"{method}; add the method or choose a flow by name"
                )
        self.module = module
        self._takes_generator = "generator" in inspect.signature(self.module.sample).parameters

    def log_prob(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Log density of z, shape (n, n_dims), given (n, n_context) or (1, n_context); shape (n,)."""
        if context is None:
            return self.module.log_prob(z)
        return self.module.log_prob(z, context.expand(z.shape[0], -1))

    @torch.no_grad()
    def sample(
        self, n: int, context: Tensor | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        """Independent draws, shape (n, n_dims)."""
        arguments = (n,) if context is None else (n, context.expand(n, -1))
        if self._takes_generator:
            return self.module.sample(*arguments, generator=generator)
        with seeded_modules(_generator_seed(generator)):
            return self.module.sample(*arguments)


def neural_spline_flow(n_dims: int, n_context: int, config: NsfConfig | None = None) -> ZukoFlow:
    """Neural spline flow (Durkan, Bekasov, Murray & Papamakarios 2019, arXiv:1906.04032).

    The density is unconditional if ``n_context`` is 0.
    """
    config = config or NsfConfig()
    hidden = (config.flow_hidden,) * config.num_layers
    settings = {"bins": config.bins, "transforms": config.num_blocks, "hidden_features": hidden}
    return ZukoFlow(zuko.flows.NSF(n_dims, n_context, **settings))


def mixture_density_network(n_dims: int, n_context: int, config: GmmConfig | None = None) -> ZukoFlow:
    """Mixture of full-covariance Gaussians whose parameters are a network of the context (Bishop 1994).

    The density is unconditional if ``n_context`` is 0.
    """
    config = config or GmmConfig()
    hidden = (config.flow_hidden,) * config.num_layers
    extra = {"hidden_features": hidden} if n_context else {}
    return ZukoFlow(zuko.mixtures.GMM(n_dims, n_context, components=config.n_mog, **extra))


def _generator_seed(generator: torch.Generator | None) -> np.random.Generator:
    """A numpy generator seeded by the next number of a torch generator."""
    device = "cpu" if generator is None else generator.device
    seed = torch.randint(2**62, (1,), generator=generator, device=device)
    return np.random.default_rng(int(seed))
