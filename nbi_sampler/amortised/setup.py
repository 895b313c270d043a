"""Checks of the arguments of an engine, which have one form afterwards."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from bilby.core.prior import PriorDict
from numpy.typing import ArrayLike

from nbi_sampler.algorithm.step import Networks
from nbi_sampler.amortised.data_format import DataFormat
from nbi_sampler.amortised.simulator import TargetModel, VectorSimulator, simulating_evaluator
from nbi_sampler.amortised.training_set import OnChunk, StoredSet, TrainingSet
from nbi_sampler.amortised.usable import by_name, check_given
from nbi_sampler.core.config.building import require_count
from nbi_sampler.evaluation.evaluator import Evaluator
from nbi_sampler.evaluation.pools import Pool, opened_pool
from nbi_sampler.forward.arrays import as_real_numbers
from nbi_sampler.forward.noise_function import NoiseFunction
from nbi_sampler.networks.devices import find_device, thread_count
from nbi_sampler.networks.featurizers import automatic_featurizer, featurizer_factory
from nbi_sampler.networks.flows import flow_factory, refinement_flows
from nbi_sampler.priors.portable import priors_from
from nbi_sampler.priors.space import ParameterSpace

__all__ = ["Setup", "qualified_name", "settings_of", "suited_to"]


Simulator = Callable[[dict[str, float]], ArrayLike]

# Settings of the paper's code by their names here; those that nothing here corresponds to are left out: the
# normalisation and the shuffling of the coordinates are fixed, the number of features follows.
_NAMES = {
    **{"n_rnn": "n_gru", "dim_conv_min": "dim_conv", "hidden_conv": "dim_conv"},
    **{"max_hidden": "dim_conv_max", "dim_hidden": "dim_conv_max"},
}
_FIXED = {"featurizer": ("norm",), "flow": ("perm_seed", "num_cond_inputs")}
_REFUSED = {
    "kernel": "convolutions have three points here; more depth sees more of them",
    "clamp_0": "pass log_scale_bound, which bounds the logarithms of all scales",
    "clamp_1": "pass log_scale_bound, which bounds the logarithms of all scales",
}


@dataclass(frozen=True)
class Setup:
    """Checked arguments of an engine.

    Attributes
    ----------
    priors : PriorDict
    space : ParameterSpace
    simulator : callable or None
        Of a mapping of parameters.
    noise : object
        As given.
    flow, featurizer : object
        With the names of their settings here.
    device : torch.device
    n_processes : int
    pool : object
    entropy : int
        Seed of all randomness.
    n_ensemble : int
        Networks that are trained apart from each other.
    """

    priors: PriorDict
    space: ParameterSpace
    simulator: Simulator | None
    noise: Any
    flow: Any
    featurizer: Any
    device: Any
    n_processes: int
    pool: Any
    entropy: int
    n_ensemble: int = 1

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Setup:
        """Check the arguments of an engine, by name.

        Raises
        ------
        TypeError, ValueError
            For the first that cannot be used.
        """
        priors = priors_from(given["priors"], given["labels"])
        space = ParameterSpace(priors)
        simulator, n_jobs, seed = given["simulator"], given["n_jobs"], given["seed"]
        if simulator is not None and not callable(simulator):
            raise TypeError(f"simulator: expected a function of parameters, got {type(simulator).__name__}")
        if simulator is not None and not isinstance(given["priors"], Mapping):
            simulator = VectorSimulator(simulator, space.names)
        if not isinstance(n_jobs, int) or (n_jobs < 1 and n_jobs != -1):
            raise ValueError(f"n_jobs: expected a number of processes or -1 for all, got {n_jobs!r}")
        noise = given["noise"]
        if noise is not None:
            # A mistake in it is found before the first simulation.
            NoiseFunction(noise) if callable(noise) else as_real_numbers(noise, "noise")
        n_ensemble = given.get("n_ensemble", 1)
        require_count("n_ensemble", n_ensemble)
        for name in ("flow", "featurizer"):
            if n_ensemble > 1 and not isinstance(given[name], str | Mapping):
                raise TypeError(
                    f"n_ensemble: expected 1 for {name}s that are modules or lists, got {n_ensemble}; name "
                    "the network, or give a dictionary"
                )
        flow = settings_of("flow", given["flow"])
        flow_factory(flow)
        return cls(
            priors=priors,
            space=space,
            simulator=simulator,
            noise=noise,
            flow=flow,
            featurizer=settings_of("featurizer", given["featurizer"]),
            device=find_device(given["device"]),
            n_processes=os.cpu_count() or 1 if n_jobs == -1 else n_jobs,
            pool=given["pool"],
            entropy=int(np.random.SeedSequence().generate_state(1)[0]) if seed is None else int(seed),
            n_ensemble=n_ensemble,
        )

    def networks(
        self, featurizer: Any, n_threads: int | None = None, n_numbers: int | None = None
    ) -> Networks:
        """Factories of networks, with a featurizer as `featurizer_factory` takes it; see `thread_count`."""
        threads = n_threads or thread_count(featurizer, n_numbers)
        flows = refinement_flows(self.flow)
        return Networks(featurizer_factory(featurizer), flow_factory(self.flow), flows, self.device, threads)

    def opened_pool(self) -> AbstractContextManager[Pool | None]:
        """Pool in which simulations are made, within a block."""
        return opened_pool(self.n_processes, self.pool)

    @contextmanager
    def evaluator(self) -> Iterator[tuple[Evaluator, TargetModel]]:
        """Evaluator that makes simulations within a block, and the model that knows their form."""
        if self.simulator is None:
            raise ValueError("simulator: expected a function, got None; give NBI or NBI.load one")
        with self.opened_pool() as pool:
            yield simulating_evaluator(self.simulator, self.space, pool)

    def training_set(
        self,
        n_sims: int,
        x: ArrayLike | None,
        y: ArrayLike | None,
        store: str | Path | None,
        before: TrainingSet | StoredSet | None,
        in_memory: bool | None = None,
        on_chunk: OnChunk | None = None,
    ) -> TrainingSet | StoredSet:
        """Return the simulations of the user, or ``n_sims`` of the simulator, and make the missing ones."""
        if (x is None) != (y is None):
            raise ValueError("x, y: expected both or none; y are the parameters of the simulations x")
        if x is not None and y is not None:
            given = TrainingSet(by_name(y, self.space), x)
            # Without noise of the engine they have their own, unlike the simulator's.
            check_given(given.theta, given.x, self.space, None if self.noise is None else self.simulator)
            return given
        if before is not None and store is None and len(before) >= n_sims:
            return before
        store = before.path if store is None and isinstance(before, StoredSet) else store
        if store is not None and not isinstance(store, str | os.PathLike):
            raise TypeError(f"store: expected the path of a file, got {store!r}; pass a str or a Path")
        with self.evaluator() as (evaluator, _):
            if store is not None:
                about = (self._fingerprint(), in_memory, on_chunk)
                return StoredSet.grown(store, n_sims, evaluator, self.entropy, *about)
            kept = before if isinstance(before, TrainingSet) else None
            return TrainingSet.grown(kept, n_sims, evaluator, self.entropy, on_chunk)

    def about(self) -> dict[str, Any]:
        """Describe the engine for its file, in types that JSON can hold."""
        noise = qualified_name(self.noise) if callable(self.noise) else np.asarray(self.noise).tolist()
        networks = {"flow": self.flow, "featurizer": self.featurizer}
        plain = {name: each for name, each in networks.items() if isinstance(each, str | Mapping | list)}
        said = {"simulator": qualified_name(self.simulator), "noise": noise, "entropy": self.entropy}
        return {**dict.fromkeys(networks), **plain, **said}

    def _fingerprint(self) -> dict[str, str]:
        priors = {name: repr(prior) for name, prior in self.priors.items()}
        return {**priors, "simulator": qualified_name(self.simulator)}


def qualified_name(function: Any) -> str:
    """Module and name of a function, or of the class of an object."""
    function = function.function if isinstance(function, VectorSimulator) else function
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}.{named.__qualname__}"


def settings_of(argument: str, given: Any) -> Any:
    """Translate settings of a flow or featurizer from the names of the paper's code to those used here.

    Raises
    ------
    ValueError
        For a setting of the authors' package that does not exist here.
    """
    if not isinstance(given, Mapping):
        return given
    for name in set(given) & set(_REFUSED):
        raise ValueError(f"{argument}: {name!r} is a setting of the package nbi; {_REFUSED[name]}")
    return {_NAMES.get(key, key): each for key, each in given.items() if key not in _FIXED[argument]}


def suited_to(featurizer: Any, data_format: DataFormat) -> Any:
    """A featurizer as `featurizer_factory` takes it, for the data of a survey.

    Parameters
    ----------
    featurizer : str, dict, list or nn.Module
        ``"auto"`` is decided by `automatic_featurizer`; ``dim_in`` is the number of rows of x, as in the
        paper.
    data_format : DataFormat

    Raises
    ------
    ValueError
        Where images are asked for, and data are none.
    """
    if not isinstance(featurizer, str | Mapping):
        return featurizer
    settings = {"type": featurizer} if isinstance(featurizer, str) else dict(featurizer)
    if settings.setdefault("type", "auto") == "auto":
        is_image = data_format.image_size is not None
        settings["type"] = automatic_featurizer(data_format.roles, data_format.shape, is_image)
    if settings["type"] == "resnet2d" and data_format.image_size is None:
        raise ValueError(
            "featurizer: expected data of shape (channels, height, width) for 'resnet2d', got "
            f"{data_format.data_shape}; let the simulator return images of that shape, (1, height, width) of "
            "one band, or take 'resnet-gru' for series"
        )
    if settings["type"] == "resnet2d" and data_format.image_size is not None:
        settings["height"], settings["width"] = data_format.image_size
    if settings["type"] == "attention":
        settings.setdefault("channels", data_format.roles)
    n_channels = len(data_format.channels)
    if settings.get("dim_in") in (n_channels, n_channels // (1 + data_format.is_complex)):
        settings["dim_in"] = data_format.shape[0]
    return settings
