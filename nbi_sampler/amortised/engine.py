"""The engine: train once on simulations, then infer any number of targets, in the style of scikit-learn.

`NBI` trains, and goes to a file and back; what it answers then is in `amortised.answers`. Networks, training
loop and importance sampling are those of the sampler.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator

from nbi_sampler.algorithm.records import Observer, Observers
from nbi_sampler.amortised.answers import Answers, LogLikelihood, one_mask
from nbi_sampler.amortised.fitting import fit_estimator, monitored
from nbi_sampler.amortised.given import check_fit
from nbi_sampler.amortised.out_of_distribution import OutOfDistributionWarning
from nbi_sampler.amortised.saving import Learnt, reopened, save_learnt
from nbi_sampler.amortised.sequential import focus
from nbi_sampler.amortised.setup import Setup, suited_to
from nbi_sampler.amortised.unreliable import UnreliableWeightsWarning
from nbi_sampler.core.config import TrainingConfig, build
from nbi_sampler.core.guarded import in_own_settings
from nbi_sampler.core.randomness import stage_generator
from nbi_sampler.reports.progress import TrainingProgress

__all__ = ["NBI", "OutOfDistributionWarning", "UnreliableWeightsWarning"]

# The sampler's, whose lines people see.
logger = logging.getLogger("bilby")


class NBI(Answers, BaseEstimator):
    """Neural Bayesian inference: posteriors of many targets from one training.

    Parameters
    ----------
    flow : str, dict or torch.nn.Module
        Density estimator: ``"maf"``, ``"nsf"``, ``"mdn"``; a dictionary of settings, such as
        ``{"n_dims": 3, "flow_hidden": 64, "num_blocks": 2, "n_mog": 8}``; or a module with ``log_prob`` and
        ``sample``.
    featurizer : str, dict or torch.nn.Module
        How data become features: ``"auto"``, ``"resnet-gru"``, ``"attention"``, ``"mlp"``, ``"resnet"``,
        ``"gru"``; a dictionary such as ``{"type": "resnet-gru", "dim_in": 1, "depth": 3}``; or a module from
        (n, n_rows, length) to (n, n_features).
    simulator : callable, optional
        ``simulator(parameters) -> ndarray`` without noise, real or complex, parameters by name where priors
        are bilby's; ``simulator(theta)`` with theta of shape (n_dim,) where they are a list of scipy's
        distributions. Not needed where simulations are given and nothing is weighed.
    noise : float, ndarray, TensorNoise or callable, optional
        Standard deviation of Gaussian noise (of complex data, that of the real and of the imaginary part
        each); or ``noise(x, rng)`` that returns x with noise, or ``(x, x_err)``, or ``(x, x_err, mask)``,
        drawing uncertainties and missing points too, which networks then see. What it returns may have
        another shape than a simulation. All but functions are drawn on the device, `NoiseLevels` and other
        `TensorNoise` too. ``noise(x, y)`` that returns ``(x, y)``, as scripts for the nbi package have it, is
        called with the parameters y of one simulation.
    priors : bilby.core.prior.PriorDict, dict or list of scipy.stats.rv_frozen
    labels : sequence of str, optional
        Names of the parameters of a list of priors.
    channels : sequence of str, optional
        What each row of the data is: ``"value"``, ``"time"`` or ``"band"``; all are values when None.
    seed : int, optional
        Same seed, same result. None takes a fresh one. No global generator is seeded.
    device : str
        Where networks train: ``"auto"``, ``"cpu"`` or ``"cuda"``.
    n_jobs : int
        Processes that simulate; -1 for as many as there are processors.
    pool : object, optional
        Instead: any `concurrent.futures.Executor`, or an object with ``map``; never closed.

    Attributes
    ----------
    estimator_ : Estimator
        After an amortised fit.
    training_set_ : TrainingSet or StoredSet
        Simulations so far.
    training_info_ : TrainingInfo
        Losses of the last amortised fit.
    training_counts_ : SimulationCounts
        How many simulations it had, and how many were left out for which reason.
    focused_ : Focused
        After a sequential fit.

    References
    ----------
    Zhang, Bloom & Hernitschek (2023), arXiv:2312.03824.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy import stats
    >>> t = np.linspace(0, 1, 8)
    >>> engine = NBI("maf", "mlp", lambda theta: theta[0] * t, 0.1, [stats.uniform(0, 1)], seed=1)
    >>> engine = engine.fit(n_sims=200, n_epochs=2)
    >>> samples, weights = engine.predict(0.5 * t, n_samples=100)
    >>> samples.shape, round(float(weights.sum()), 6)
    ((100, 1), 1.0)
    """

    @in_own_settings
    def __init__(
        self,
        flow: Any = "maf",
        featurizer: Any = "auto",
        simulator: Callable[..., ArrayLike] | None = None,
        noise: Any = None,
        priors: Any = None,
        *,
        labels: Sequence[str] | None = None,
        channels: Sequence[str] | None = None,
        seed: int | None = None,
        device: str = "auto",
        n_jobs: int = 1,
        pool: Any = None,
    ) -> None:
        # As given, so that scikit-learn can clone the engine; `Setup` knows what they mean.
        self.flow = flow
        self.featurizer = featurizer
        self.simulator = simulator
        self.noise = noise
        self.priors = priors
        self.labels = labels
        self.channels = channels
        self.seed = seed
        self.device = device
        self.n_jobs = n_jobs
        self.pool = pool
        self._setup = Setup.read(self.get_params(deep=False))

    @in_own_settings
    def fit(
        self,
        n_sims: int = 1000,
        n_rounds: int = 1,
        n_epochs: int = 100,
        *,
        x: ArrayLike | None = None,
        y: ArrayLike | None = None,
        x_obs: ArrayLike | None = None,
        x_err: ArrayLike | None = None,
        x_mask: ArrayLike | None = None,
        log_likelihood: LogLikelihood | None = None,
        store: str | Path | None = None,
        in_memory: bool | None = None,
        loss: str = "nll",
        refine: bool = True,
        training: Mapping[str, Any] | None = None,
        on_epoch: Callable[[int, float, float], None] | None = None,
        print_method: str | None = "tqdm",
        mask: ArrayLike | None = None,
    ) -> NBI:
        """Train: once for all targets, or in rounds for one.

        Called again, it goes on from the simulations that it has.

        Parameters
        ----------
        n_sims : int
            Simulations in all, or in each round.
        n_rounds : int
            1 is amortised; more are sequential and need ``x_obs``.
        n_epochs : int
            Most epochs of a training.
        x : array_like, shape (n, *shape), optional
            Simulations without noise that were made before, real or complex; none are made then, but for a
            few to compare with.
        y : array_like, shape (n, n_dim), optional
            Their parameters, drawn from the priors, in the order of these.
        x_obs, x_err, x_mask, log_likelihood : optional
            The target of sequential rounds; see `infer`.
        store : str or pathlib.Path, optional
            File in which the simulations are kept as they are made, and looked for first.
        in_memory : bool, optional
            Whether the simulations of a store are read whole, or in batches by every epoch; when None, up to
            a gigabyte of them is read whole.
        loss : {"nll", "apt"}
            Of sequential rounds; see docs/losses.md.
        refine : bool
            Whether sequential rounds go over to fits of the weighted draws once the posterior is found. False
            is the paper's Algorithm 1.
        training : mapping, optional
            Further settings of `TrainingConfig`, such as ``batch_size`` and ``learning_rate``.
        on_epoch : callable, optional
            Called with the number of every epoch and its training and validation losses.
        print_method : str, optional
            ``"tqdm"``: a bar on a terminal and in notebooks, elsewhere a line every 10 s;
            ``"interval-60"``: a line every 60 s; ``"none"``: silence. Lines go to bilby's log.
        mask : array_like, optional
            Another name of ``x_mask``.

        Raises
        ------
        TypeError, ValueError
            For arguments that cannot be used, and where more than half of the simulations are lost: they are
            not finite, or have parameters that the priors do not allow.

        Warns
        -----
        UserWarning
            Where some simulations are left out, or those given are not those of the simulator.
        """
        config = build(TrainingConfig, {**(training or {}), "n_epochs": n_epochs}, "training")
        monitor = partial(monitored, self._setup, {**self.get_params(deep=False), **asdict(config)}, on_epoch)
        check_fit(n_sims, n_rounds, x, store)
        with TrainingProgress(print_method, config.n_epochs, logger.info) as progress:
            if n_rounds > 1:
                target = (x_obs, x_err, one_mask(x_mask, mask))
                rounds = {"n_sims": n_sims, "n_rounds": n_rounds, "loss": loss, "refine": refine}
                with monitor() as events:
                    observer = Observers(events, progress)
                    self.focused_ = focus(target, log_likelihood, self._setup, rounds, config, observer)
                progress.finish(f"trained in {n_rounds} rounds")
                return self
            progress.begin("simulating", n_sims)
            before = getattr(self, "training_set_", None)
            self.training_set_ = self._setup.training_set(
                n_sims, x, y, store, before, in_memory, progress.done
            )
            with monitor() as events:
                self._train(config, Observers(events, progress))
            progress.finish(f"trained on {self.training_counts_.n_used:,} simulations")
        return self

    def _train(self, config: TrainingConfig, observer: Observer) -> None:
        observer.training_started("amortised")
        self.estimator_, self.training_info_, self.training_counts_ = fit_estimator(
            self.training_set_,
            self.noise,
            self._setup.space,
            lambda layout: self._setup.networks(suited_to(layout, self._setup.featurizer), config.n_threads),
            config,
            stage_generator(self._setup.entropy, "train"),
            self.channels,
            observer.epoch_finished,
        )

    @in_own_settings
    def save(self, path: str | Path) -> None:
        """Write what was learnt, for all targets and for that of the rounds, to a file that holds no code.

        Simulator, noise function and log-likelihood are code: the first two have to be given again to `load`,
        the last to `infer`.
        """
        focused = getattr(self, "focused_", None)
        estimator = getattr(self, "estimator_", None) if focused else self._fitted()
        about = {**self._setup.about(), "channels": self.channels}
        save_learnt(path, Learnt(self._setup.priors, estimator, focused, about))

    @classmethod
    @in_own_settings
    def load(cls, path: str | Path, **arguments: Any) -> NBI:
        """Read a trained engine; nothing of the file is executed.

        Parameters
        ----------
        path : str or pathlib.Path
        **arguments
            Of `NBI`: ``simulator`` and ``noise``, where they are functions, to weigh with (a warning says
            where their names are not those of the training); ``priors``, where the file could not hold them,
            as conditional or joint ones; ``flow`` and ``featurizer``, where they were modules of the user;
            ``device``, ``n_jobs`` and ``pool``.

        Raises
        ------
        ArchiveError
            The file is no saved engine.
        ValueError
            Something has to be given, or is not that of the training.
        """
        learnt, restored = reopened(path, arguments)
        engine = cls(**restored)
        for name, part in (("estimator_", learnt.estimator), ("focused_", learnt.focused)):
            if part is not None:
                setattr(engine, name, part)
        return engine

    def set_params(self, **params: Any) -> NBI:
        """Change arguments; what was trained stays."""
        super().set_params(**params)
        self._setup = Setup.read(self.get_params(deep=False))
        return self
