"""Principal components of the noiseless simulations, for one target with a known noise law.

Whitened residuals from the observed data are projected on the components whose signal exceeds the noise. This
loses almost no information, and a small perceptron on them trains in seconds. Noise that is exactly white is
drawn in the space of the components, at a cost that does not depend on the length of the data.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nbi_sampler.core.config import FEATURES, PcaConfig
from nbi_sampler.core.randomness import seeded_modules
from nbi_sampler.networks.featurizers.base import Featurizer, SimulatedData, perceptron

__all__ = ["PrincipalComponents", "strongest_components"]


class PrincipalComponents(Featurizer):
    r"""Projected residuals, :math:`\mathrm{asinh}(a_k / \sqrt{\sigma_k^2 + 1})`, then a perceptron.

    If the parameters include those of the noise law, the logarithm of the scale of the remaining residuals is
    an additional input.

    Parameters
    ----------
    shape : tuple of int
        (n_channels, length) of the data.
    n_params : int
        At least this many components are kept, if the data have as many.
    config : PcaConfig
    """

    mean: Tensor
    components: Tensor
    spread: Tensor

    def __init__(self, shape: tuple[int, int], n_params: int, config: PcaConfig) -> None:
        super().__init__()
        self.n_features = config.dim_out
        self.config = config
        self.n_params = n_params
        self.n_data = shape[0] * shape[1]
        self.with_residual = False
        self.register_buffer("mean", torch.zeros(self.n_data))
        self.register_buffer("components", torch.zeros(self.n_data, 0))
        self.register_buffer("spread", torch.ones(0))
        self._reduced: tuple[SimulatedData, Tensor, Tensor] | None = None

    def fit(self, data: SimulatedData, rng: np.random.Generator) -> None:
        """Find components of the noiseless simulations, and make a perceptron whose width they determine."""
        mean = data.signal.double().mean(0)
        rows = rng.permutation(len(data))[: FEATURES.most_rows_pca]
        chosen = data.signal[torch.as_tensor(rows, device=data.device)]
        sample = chosen.double().sub_(mean).cpu().numpy()
        components, variance = self.find_components(sample, rng)
        n_kept = components.shape[1]
        device = data.device
        self.mean = mean.float()
        self.components = torch.as_tensor(components.copy(), dtype=torch.float32, device=device)
        self.spread = torch.as_tensor(np.sqrt(variance + 1.0), dtype=torch.float32, device=device)
        self.with_residual = data.has_noise_parameters and n_kept < self.n_data - 2
        self.network = self.make_network(n_kept + self.with_residual).to(device)
        self._reduced = (data, *self._project(data.signal))

    def find_components(
        self, sample: NDArray[np.float64], rng: np.random.Generator
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Directions in which the signal exceeds the noise; a subclass may choose others.

        Parameters and returns are those of `strongest_components`. Rows are signals without noise, in units
        of the noise.
        """
        return strongest_components(sample, self.config, self.n_params, rng)

    def make_network(self, n_inputs: int) -> nn.Sequential:
        """Make the trainable part; its first layer is an ``nn.Linear`` with ``n_inputs``."""
        return perceptron(n_inputs, self.n_features, self.config.hidden, FEATURES.depth_pca)

    def reduce(self, data: Tensor) -> Tensor:
        """Scaled coefficients of whitened relative data, shape (n, n_components [+ 1])."""
        coefficients, residual_norm = self._project(data)
        return self._scaled(coefficients, residual_norm**2)

    def inputs(self, data: SimulatedData, index: Tensor, generator: torch.Generator) -> Tensor:
        """Scaled coefficients with fresh noise, which is drawn in their own space if it is white."""
        if data.scale is None or self._reduced is None or self._reduced[0] is not data:
            return super().inputs(data, index, generator)
        coefficients, residual_norm = self._reduced[1][index], self._reduced[2][index]
        scale = data.scale[index]
        noise = torch.randn(coefficients.shape, generator=generator, device=coefficients.device)
        coefficients = coefficients + scale[:, None] * noise
        if not self.with_residual:
            return self._scaled(coefficients, residual_norm)
        n_left = self.n_data - coefficients.shape[1]
        along = torch.randn(len(index), generator=generator, device=scale.device)
        shape = torch.full_like(scale, 0.5 * (n_left - 1))
        across = 2.0 * torch._standard_gamma(shape, generator=generator)
        return self._scaled(coefficients, (residual_norm + scale * along) ** 2 + scale**2 * across)

    def forward(self, inputs: Tensor) -> Tensor:
        """Features of shape (n, n_features)."""
        return self.network(inputs)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *arguments: Any) -> None:
        """Read the sizes that a fit has found from the saved state, then load the state."""
        components = state_dict.get(f"{prefix}components")
        first_layer = state_dict.get(f"{prefix}network.0.weight")
        if components is not None and first_layer is not None:
            # Every number that is drawn here is overwritten, and the global generator does not change.
            with seeded_modules(np.random.default_rng(0)):
                self._resize(components.shape[1], first_layer.shape[1])
            if not torch.equal(components.to(self.components), self.components):
                self._reduced = None
        super()._load_from_state_dict(state_dict, prefix, *arguments)

    def _resize(self, n_kept: int, n_inputs: int) -> None:
        """Allocate ``n_kept`` components and a perceptron with ``n_inputs``."""
        self.with_residual = n_inputs > n_kept
        if self.components.shape[1] != n_kept:
            self.components = self.components.new_zeros(self.n_data, n_kept)
            self.spread = self.spread.new_ones(n_kept)
        network = getattr(self, "network", None)
        if network is None or network[0].in_features != n_inputs:
            self.network = self.make_network(n_inputs).to(self.components.device)

    def _project(self, data: Tensor) -> tuple[Tensor, Tensor]:
        """Coefficients (n, k), and the norm of the remaining residuals (n,), zero if it is not used."""
        centred = data - self.mean
        coefficients = centred @ self.components
        if not self.with_residual:
            return coefficients, coefficients.new_zeros(len(data))
        # A difference of squares would lose it in single precision beside a bright signal.
        return coefficients, (centred - coefficients @ self.components.T).square().sum(1).sqrt()

    def _scaled(self, coefficients: Tensor, residual_square: Tensor) -> Tensor:
        inputs = torch.asinh(coefficients / self.spread)
        if not self.with_residual:
            return inputs
        n_left = self.n_data - coefficients.shape[1]
        log_scale = FEATURES.residual_scale * torch.log(residual_square / n_left + 1e-12)
        return torch.cat([inputs, log_scale[:, None]], 1)


def strongest_components(
    sample: NDArray[np.float64], config: PcaConfig, n_least: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Leading components of centred rows (n_rows, n_data), at most as many as ``config`` allows.

    Components with less variance than ``minimum_signal`` are left out, except for the first ``n_least``.

    Returns
    -------
    components : ndarray, shape (n_data, n_components)
        Orthonormal columns.
    variance : ndarray, shape (n_components,)
        Variance of the signal along each column.
    """
    most = min(config.n_components, *sample.shape)
    components, variance = _leading_components(sample, most, rng)
    n_kept = max(int((variance > config.minimum_signal).sum()), min(n_least, most))
    return components[:, :n_kept], variance[:n_kept]


def _leading_components(
    sample: NDArray[np.float64], n_components: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Leading right singular vectors (n_data, k) and variances (k,) of centred rows.

    The method is exact for short data. For long data it is a randomised range finder with power iterations.

    References
    ----------
    Halko, Martinsson & Tropp (2011), SIAM Review 53, 217, algorithm 4.4.
    """
    n_rows, n_data = sample.shape
    if n_data > FEATURES.long_pca * n_components:
        n_wanted = min(n_components + FEATURES.more_pca, *sample.shape)
        basis = sample.T @ (sample @ rng.normal(size=(n_data, n_wanted)))
        for _ in range(FEATURES.iterations_pca):
            basis, _ = np.linalg.qr(basis)
            basis = sample.T @ (sample @ basis)
        basis, _ = np.linalg.qr(basis)
        reduced = sample @ basis
    else:
        basis, reduced = np.eye(n_data), sample
    variance, vectors = np.linalg.eigh(reduced.T @ reduced / n_rows)
    order = np.argsort(variance)[::-1][:n_components]
    return basis @ vectors[:, order], np.maximum(variance[order], 0.0)
