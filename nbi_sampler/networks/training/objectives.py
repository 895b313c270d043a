"""Objectives of fits: NLL and APT on noisy simulations, weighted likelihood on draws.

Each is an `Objective` of `fit`: it yields the losses of an epoch, and a validation value for fixed draws and
noise. If the data stay in memory, a loss is a function of rows, and its step can be captured.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import huber_loss

from nbi_sampler.core.config import FIT, TrainingConfig
from nbi_sampler.core.randomness import torch_generator
from nbi_sampler.forward.draws import numpy_generator
from nbi_sampler.networks.featurizers import Featurizer, SimulatedData
from nbi_sampler.networks.flows import Density
from nbi_sampler.networks.training.captured import ByRows

__all__ = ["AtomicObjective", "NllObjective", "Stream", "StreamedObjective", "WeightedObjective"]

# ``(batch_size, rng) -> batches of simulations in random order, with their parameters``.
Stream = Callable[[int, np.random.Generator], Iterator[tuple[SimulatedData, Tensor]]]


class NllObjective(ByRows):
    r"""Negative log-likelihood of the parameters given fresh noisy data.

    .. math:: -\frac1n \sum_i \log q(y_i \mid f(x_i)), \qquad x_i = m_i + \text{noise}

    Parameters
    ----------
    flow : Density
    featurizer : Featurizer
        A fitted featurizer.
    data : SimulatedData
    y : Tensor, shape (n, n_dim)
        Standardised latent parameters of the simulations.
    config : TrainingConfig
    rng : numpy.random.Generator
    log_prior : Tensor, shape (n,), optional
        ``log N(z; 0, I)`` of the simulations, up to a constant, for losses that need it.

    References
    ----------
    Zhang, Bloom & Hernitschek (2023, arXiv:2312.03824), equation 1.
    """

    def __init__(
        self,
        flow: Density,
        featurizer: Featurizer,
        data: SimulatedData,
        y: Tensor,
        config: TrainingConfig,
        rng: np.random.Generator,
        log_prior: Tensor | None = None,
    ) -> None:
        self.flow = flow
        self.featurizer = featurizer
        self.data = data
        self.y = y.to(data.device)
        self.log_prior = None if log_prior is None else log_prior.to(data.device)
        self.config = config
        self.generator = torch_generator(rng, data.device)
        self._held_out, self._training = self._split()
        self._batch_size, self.n_batches = self._sizes(len(self._training))
        self._validation_inputs = featurizer.inputs(data, self._held_out, self.generator)
        self._validation_seed = int(rng.integers(2**62))

    def _split(self) -> tuple[Tensor, Tensor]:
        """Indices of the held-out simulations and of the others, which train."""
        order = torch.randperm(len(self.y), generator=self.generator, device=self.data.device)
        n_validation = max(1, round(self.config.validation_share * len(self.y)))
        return order[:n_validation], order[n_validation:]

    def _sizes(self, n_training: int) -> tuple[int, int]:
        """Size and number of the batches."""
        batch_size = int(
            np.clip(n_training // self.config.n_batches, FIT.least_batch, self.config.batch_size)
        )
        return batch_size, max(n_training // batch_size, 1)

    def loss(self, features: Tensor, index: Tensor, generator: torch.Generator) -> Tensor:
        """Loss of a batch, a scalar; another loss replaces only this method.

        Parameters
        ----------
        features : Tensor, shape (n, n_features)
            Inputs from the data of simulations ``index``.
        index : Tensor of int, shape (n,)
            Rows of ``y`` and of ``log_prior``.
        generator : torch.Generator
            Source of all random numbers.
        """
        return -self.flow.log_prob(self.y[index], features).mean()

    def rows(self) -> Iterator[Tensor]:
        """Shuffled simulations of one epoch."""
        shuffle = torch.randperm(len(self._training), generator=self.generator, device=self.data.device)
        for i in range(self.n_batches):
            yield self._training[shuffle[i * self._batch_size : (i + 1) * self._batch_size]]

    def loss_of(self, rows: Tensor) -> Tensor:
        """Loss of simulations with new noise."""
        inputs = self.featurizer.inputs(self.data, rows, self.generator)
        return self.loss(self.featurizer(inputs), rows, self.generator)

    def validation(self) -> float:
        """Loss on the held-out simulations, with the same noise and random numbers in every epoch."""
        generator = torch.Generator(self.data.device).manual_seed(self._validation_seed)
        features = self.featurizer(self._validation_inputs)
        # The loss is computed in parts, because its cost may grow with the square of their number.
        n_parts = -(-len(self._held_out) // FIT.most_in_a_set)
        rows = self._held_out.tensor_split(n_parts)
        parts = zip(features.tensor_split(n_parts), rows, strict=True)
        # One read for all parts, so that the program waits for a GPU only once.
        losses = torch.stack([self.loss(part, index, generator) for part, index in parts]).flatten().tolist()
        total = sum(len(index) * loss for index, loss in zip(rows, losses, strict=True))
        return total / len(self._held_out)

    def example_inputs(self, n: int = FIT.n_examples) -> Tensor:
        """Noisy inputs of the first training simulations, which give their range."""
        return self.featurizer.inputs(self.data, self._training[:n], self.generator)


class StreamedObjective(NllObjective):
    """The same for training simulations that are read on demand; held-out ones stay in memory.

    Parameters
    ----------
    *known
        As for `NllObjective`. All simulations of its data are held out.
    stream : callable
        Yields the training simulations, in another order in every epoch; see `Stream`.
    n_training : int
        Number of training simulations.
    """

    def __init__(self, *known: Any, stream: Stream, n_training: int) -> None:
        super().__init__(*known)
        self._stream = stream
        self._batch_size, self.n_batches = self._sizes(n_training)

    def _split(self) -> tuple[Tensor, Tensor]:
        everything = torch.arange(len(self.y), device=self.data.device)
        return everything, everything[:0]

    # Every batch has other data, so no step can be repeated in the memory of another.
    def batches(self) -> Iterator[Tensor]:
        """Yield the losses of one epoch over simulations that are read on demand, with new noise."""
        stream = self._stream(self._batch_size, numpy_generator(self.generator))
        for data, y in islice(stream, self.n_batches):
            index = torch.arange(len(y), device=data.device)
            features = self.featurizer(self.featurizer.inputs(data, index, self.generator))
            yield -self.flow.log_prob(y, features).mean()


class AtomicObjective(NllObjective):
    r"""Automatic posterior transformation with atomic proposals.

    .. math::
        -\log \frac{q(z_i \mid x_i) / p(z_i)}{\sum_{j \in A_i} q(z_j \mid x_i) / p(z_j)}

    over sets of ``n_atoms`` parameters that include the true one. This estimates the posterior itself,
    whatever the simulations were drawn from, but it may leak. The constructor is that of `NllObjective`, with
    ``log_prior``.

    References
    ----------
    Greenberg, Nonnenmacher & Macke (2019, arXiv:1905.07488), section 3.2.
    """

    def loss(self, features: Tensor, index: Tensor, generator: torch.Generator) -> Tensor:
        """See `NllObjective.loss`; the atoms of a simulation are other elements of ``index``."""
        assert self.log_prior is not None
        n = len(index)
        n_atoms = min(self.config.n_atoms, n)
        offsets = torch.rand(n, n - 1, generator=generator, device=index.device).argsort(1)[:, : n_atoms - 1]
        own = torch.arange(n, device=index.device)[:, None]
        atoms = torch.cat([own, (own + 1 + offsets) % n], 1)
        chosen = index[atoms]
        log_q = self.flow.log_prob(self.y[chosen].flatten(0, 1), features.repeat_interleave(n_atoms, 0)).view(
            n, n_atoms
        )
        log_odds = log_q - self.log_prior[chosen]
        return -(log_odds[:, 0] - torch.logsumexp(log_odds, 1)).mean()


class WeightedObjective(ByRows):
    r"""Weighted maximum likelihood of a flow, and regression of its log density on that of the target.

    .. math:: -\sum_i w_i \log q(y_i) + \lambda \sum_i w_i^{1/2}\, h(r_i - \bar r), \qquad r = \log p - \log q

    Minibatches are resampled. Half of their draws are chosen by weight. If :math:`\log p` is known, the
    others are chosen by the square root of the weights, for the tails. Only the first term suffers from the
    sampling noise of the draws. With the second term, Huber's function :math:`h` of the residuals, a fit
    therefore needs fewer draws. The validation value uses the weights of held-out draws.

    Parameters
    ----------
    flow : Density
    y : Tensor, shape (n, n_dim)
        Standardised draws.
    weights : Tensor, shape (n,)
        Non-negative.
    held_out : Tensor of bool, shape (n,)
        Draws for the validation value.
    ess : float
        Effective size of the weights. An epoch takes about four times as many draws.
    config : TrainingConfig
    rng : numpy.random.Generator
    log_target : Tensor, shape (n,), optional
        Log density of the target at the draws, up to a constant.

    References
    ----------
    Richter, Boustati, Nüsken, Ruiz & Akyildiz (2020, arXiv:2010.10436) for the variance of the log ratio as a
    loss; Rubinstein & Kroese (2004), The cross-entropy method, applied to flows; Koblents & Miguez (2015,
    arXiv:1208.5600) for the adaptation.
    """

    def __init__(
        self,
        flow: Density,
        y: Tensor,
        weights: Tensor,
        held_out: Tensor,
        ess: float,
        config: TrainingConfig,
        rng: np.random.Generator,
        log_target: Tensor | None = None,
    ) -> None:
        self.flow = flow
        self.generator = torch_generator(rng, y.device)
        self._y, self._weights = y[~held_out], weights[~held_out]
        self._log_target = None if log_target is None else log_target[~held_out]
        self._held_out_target = None if log_target is None else log_target[held_out]
        self._held_out = y[held_out]
        self._held_out_weights = weights[held_out] / weights[held_out].sum().clamp(min=1e-30)
        self._batch_size = config.batch_size
        # Draws of a batch that are chosen by weight; the others are chosen by its square root.
        self._half = -(-config.batch_size // 2)
        n_batches = FIT.passes * ess / config.batch_size
        self.n_batches = int(np.clip(n_batches, FIT.least_batches, FIT.most_batches))

    def rows(self) -> Iterator[Tensor]:
        """Yield the draws of one epoch, resampled by weight."""
        index = self._resampled(self._weights)
        if self._log_target is None:
            yield from index
            return
        flatter = self._resampled(self._weights.sqrt())
        for by_weight, by_root in zip(index, flatter, strict=True):
            yield torch.cat([by_weight[: self._half], by_root[self._half :]])

    def _resampled(self, weights: Tensor) -> tuple[Tensor, ...]:
        n = self.n_batches * self._batch_size
        return torch.multinomial(weights, n, replacement=True, generator=self.generator).split(
            self._batch_size
        )

    def loss_of(self, rows: Tensor) -> Tensor:
        """Loss of the given draws."""
        log_q = self.flow.log_prob(self._y[rows])
        if self._log_target is None:
            return -log_q.mean()
        residual = self._log_target[rows] - log_q
        centre = residual[: self._half].detach().mean()
        return FIT.regression * _huber(residual - centre).mean() - log_q[: self._half].mean()

    def validation(self) -> float:
        """Weighted loss on the held-out draws."""
        log_q, weights = self.flow.log_prob(self._held_out), self._held_out_weights
        if self._held_out_target is None:
            return -float((weights * log_q).sum())
        residual = self._held_out_target - log_q
        centred = residual - (weights * residual).sum()
        return float((weights * (FIT.regression * _huber(centred) - log_q)).sum())


def _huber(residual: Tensor) -> Tensor:
    """Half the square of a residual up to one, and linear beyond."""
    return huber_loss(residual, torch.zeros_like(residual), reduction="none")
