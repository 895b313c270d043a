"""Training of an estimator on simulations from the prior, for all targets.

The loss and the loop of the training are those of the sampler's rounds.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
from torch import nn

from nbi_sampler.algorithm.records import Observer, Observers
from nbi_sampler.amortised.annealing import annealed_fit, counted_from
from nbi_sampler.amortised.convergence import unfinished
from nbi_sampler.amortised.data_format import DataFormat, Observation
from nbi_sampler.amortised.estimator import Estimator
from nbi_sampler.amortised.noise import NoiseLaw
from nbi_sampler.amortised.out_of_distribution import DataSummary, OutOfDistributionTest
from nbi_sampler.amortised.setup import Setup, suited_to
from nbi_sampler.amortised.training_checkpoint import TrainingCheckpoint, training_described
from nbi_sampler.amortised.training_set import SimulatedTargets, StoredSet, TrainingSet
from nbi_sampler.amortised.usable import SimulationCounts
from nbi_sampler.core.config import SIGNALS, ImageConfig, SequenceConfig, TrainingConfig, build
from nbi_sampler.core.randomness import seeded_modules
from nbi_sampler.importance.reliability import Status
from nbi_sampler.networks.devices import limited_threads
from nbi_sampler.networks.featurizers import FEATURIZERS, EnsembleFeaturizer, Featurizer
from nbi_sampler.networks.flows import Density, EnsembleFlow
from nbi_sampler.networks.training.fit import OnEpoch, TrainingInfo
from nbi_sampler.reports.events import Outcome, Run, RunEvents
from nbi_sampler.reports.meta_data import describable

__all__ = ["fit_estimator", "monitored", "training_config"]

# The sampler's, whose lines people see.
logger = logging.getLogger("bilby")


def fit_estimator(
    simulations: TrainingSet | StoredSet,
    setup: Setup,
    training: Mapping[str, Any],
    rng: np.random.Generator,
    channels: Sequence[str] | None = None,
    on_epoch: OnEpoch | None = None,
    checkpoint: TrainingCheckpoint | None = None,
) -> tuple[Estimator, TrainingInfo, SimulationCounts]:
    """Train featurizer and flow on simulations.

    Parameters
    ----------
    simulations : TrainingSet or StoredSet
        Of parameters drawn from the prior; those that are not finite, or outside the prior, are left out.
    setup : Setup
        Noise, priors, and the networks that suit the data.
    training : mapping
        Fields of `TrainingConfig` that the user has set; see `training_config` for the others.
    rng : numpy.random.Generator
    channels : sequence of str, optional
        See `DataFormat`.
    on_epoch : callable, optional
        See `training.fit`.
    checkpoint : TrainingCheckpoint, optional
        File in which the training is kept, and from which it goes on.

    Raises
    ------
    ValueError
        With fewer than 100 simulations that can be used, or where more than half cannot; if the checkpoint is
        that of another training.
    """
    space = setup.space
    with simulations.examples(space, rng) as examples:
        law = NoiseLaw(setup.noise, examples.some, examples.some_theta)
        data_format = _learnt(law(examples.some, rng, examples.some_theta), law, channels)
        suited = suited_to(setup.featurizer, data_format)
        config = training_config(suited, training)
        networks = setup.networks(suited, config.n_threads, math.prod(data_format.shape))
        seen = partial(SimulatedTargets, noise=law, data_format=data_format, device=networks.device)
        some = seen(examples.some, examples.some_theta)
        if checkpoint is not None:
            about = training_described(setup, suited, config, data_format, examples)
            checkpoint.belongs_to(setup.entropy, about)
        members, n_epochs = [], 0
        for i, each in enumerate([rng] if setup.n_ensemble == 1 else rng.spawn(setup.n_ensemble)):
            keepers = None if checkpoint is None else checkpoint.of_member(i)
            counted = None if on_epoch is None else partial(counted_from, on_epoch, n_epochs)
            with limited_threads(networks.n_threads):
                with seeded_modules(each):
                    featurizer = networks.featurizer(data_format.shape, space.n_dim).to(networks.device)
                    featurizer.fit(some, each)
                    flow = networks.flow(space.n_dim, featurizer.n_features).to(networks.device)
                objective = examples.objective(flow, featurizer, seen, config, each)
                info = annealed_fit(nn.ModuleList([featurizer, flow]), objective, config, counted, keepers)
            members.append((featurizer, flow, info))
            n_epochs += len(info.validation)
    for *_, info in members:
        if advice := unfinished(info, config.n_epochs):
            logger.warning(advice)
            break
    featurizer, flow, info = members[0] if len(members) == 1 else _ensemble(members, data_format.shape)
    # Noise differs between the halves, so that what one teaches is tested on the other.
    first, second = (some.observe(half, rng) for half in np.array_split(np.arange(len(some)), 2))
    summary = DataSummary.learnt(data_format, first)
    ood_test = OutOfDistributionTest.fit(summary(data_format, second), rng)
    estimator = Estimator(space, data_format, featurizer, flow, examples.affine, summary, ood_test)
    return estimator, info, examples.counts


def _ensemble(
    members: Sequence[tuple[Featurizer, Density, TrainingInfo]], shape: tuple[int, int]
) -> tuple[Featurizer, Density, TrainingInfo]:
    """Average the densities of several networks; the record is that of all their trainings."""
    featurizers, flows, infos = zip(*members, strict=True)
    featurizer = EnsembleFeaturizer(featurizers, shape).eval()
    featurizer.recipe = {"type": "ensemble", "members": [dict(each.recipe) for each in featurizers]}
    flow = EnsembleFlow(flows, [each.n_features for each in featurizers]).eval()
    flow.recipe = {
        "type": "ensemble",
        "n_dims": flows[0].recipe["n_dims"],
        "n_context": featurizer.n_features,
        "members": [dict(each.recipe) for each in flows],
    }
    info = TrainingInfo(
        best=sum(each.best for each in infos) / len(infos),
        training=tuple(loss for each in infos for loss in each.training),
        validation=tuple(loss for each in infos for loss in each.validation),
        n_steps=sum(each.n_steps for each in infos),
        n_skipped=sum(each.n_skipped for each in infos),
        seconds=sum(each.seconds for each in infos),
    )
    return featurizer, flow, info


def training_config(featurizer: Any, given: Mapping[str, Any]) -> TrainingConfig:
    """Complete the settings of a training with the defaults that suit the featurizer.

    Parameters
    ----------
    featurizer : str, dict, list or nn.Module
        As `featurizer_factory` takes it.
    given : mapping
        Fields of `TrainingConfig`.

    Raises
    ------
    ValueError
        For an unknown field, or a value that it cannot have.
    """
    name = featurizer.get("type") if isinstance(featurizer, Mapping) else featurizer
    kind = FEATURIZERS.offers().get(name) if isinstance(name, str) else None
    of_signals = kind is not None and issubclass(kind[1].settings, SequenceConfig | ImageConfig)
    return build(TrainingConfig, {**(asdict(SIGNALS) if of_signals else {}), **given}, "training")


def _learnt(some: Observation, law: NoiseLaw, channels: Sequence[str] | None) -> DataFormat:
    """Learn the format of data with noise. An error in them is reported as one of the noise function."""
    try:
        return DataFormat.learnt(*some, channels=channels)
    except ValueError as error:
        if law.of_tensors is not None or str(error).startswith("channels"):
            raise
        raise ValueError(f"noise: the data that the function returns cannot be used: {error}") from error


@contextmanager
def monitored(
    setup: Setup, settings: Mapping[str, Any], on_epoch: OnEpoch | None = None
) -> Iterator[Observer]:
    """Report the events of a training to plugins, and its epochs to a function, within a block.

    Parameters
    ----------
    setup : Setup
    settings : mapping of str to object
        Of engine and training.
    on_epoch : callable, optional
        See `training.fit`.
    """
    run = Run(
        label=f"training-{time.strftime('%Y%m%d-%H%M%S')}",
        outdir="",
        names=setup.space.names,
        settings=describable(settings),
        seed=setup.entropy,
        note="training of an engine",
    )
    with RunEvents(run) as events:
        yield events if on_epoch is None else Observers(events, _Epochs(on_epoch))
        events.finished(Outcome(status=str(Status.OK), message="trained"))


class _Epochs(Observer):
    def __init__(self, on_epoch: OnEpoch) -> None:
        self._on_epoch = on_epoch

    def epoch_finished(self, epoch: int, training_loss: float, validation_loss: float) -> None:
        """See `Observer`."""
        self._on_epoch(epoch, training_loss, validation_loss)
