"""The engine: train once on simulations, then infer any number of targets, in the style of scikit-learn."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.exceptions import NotFittedError

from nbi_sampler.algorithm.records import Observers
from nbi_sampler.amortised.data_format import one_mask
from nbi_sampler.amortised.diagnosable import Diagnosable
from nbi_sampler.amortised.engine_file import EngineFile
from nbi_sampler.amortised.estimator import Estimator
from nbi_sampler.amortised.fitting import fit_estimator, monitored, training_config
from nbi_sampler.amortised.importance_weighting import errors_of_noise, target_likelihood
from nbi_sampler.amortised.inference import Inferences, UnreliableWeightsWarning, infer, warn_of_weights
from nbi_sampler.amortised.original_nbi import FormerMethods, understands
from nbi_sampler.amortised.out_of_distribution import OutOfDistributionWarning, warn_out_of_distribution
from nbi_sampler.amortised.scikit_learn import EngineBase
from nbi_sampler.amortised.sequential import fit_sequentially, infer_sequentially
from nbi_sampler.amortised.setup import Setup
from nbi_sampler.amortised.training_checkpoint import TrainingCheckpoint
from nbi_sampler.core.config import INFERENCE, TRAINING_SET, TrainingConfig, build
from nbi_sampler.core.config.building import require_count
from nbi_sampler.core.guarded import in_own_settings
from nbi_sampler.core.randomness import stage_generator
from nbi_sampler.core.types import Array
from nbi_sampler.forward.arrays import as_real_numbers
from nbi_sampler.reports.progress import TrainingProgress

__all__ = ["NBI", "OutOfDistributionWarning", "UnreliableWeightsWarning"]

LogLikelihood = Callable[..., ArrayLike]

# The sampler's, whose lines people see.
logger = logging.getLogger("bilby")


class NBI(EngineFile, Diagnosable, FormerMethods, EngineBase):
    """Neural Bayesian inference: one training gives the posteriors of many targets.

    Parameters
    ----------
    flow : str, dict or torch.nn.Module
        Density estimator: ``"maf"``, ``"nsf"``, ``"mdn"``; a dictionary of settings, such as
        ``{"n_dims": 3, "flow_hidden": 64, "num_blocks": 2, "n_mog": 8}``; or a module with ``log_prob`` and
        ``sample``.
    featurizer : str, dict or torch.nn.Module
        How data become features: ``"auto"``, ``"resnet-gru"``, ``"attention"``, ``"mlp"``, ``"resnet"``,
        ``"gru"``, ``"resnet2d"`` for images; a dictionary such as ``{"type": "resnet-gru", "dim_in": 1,
        "depth": 3}``; or a module from (n, n_rows, length) to (n, n_features).
    simulator : callable, optional
        ``simulator(parameters) -> ndarray`` without noise, real or complex, parameters by name where priors
        are bilby's; ``simulator(theta)`` with theta of shape (n_dim,) where they are a list of scipy's
        distributions. Not needed where simulations are given and no weights are asked for.
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
    n_ensemble : int
        Networks that an amortised fit trains apart from each other, each with other initial values and other
        simulations held out. The posterior is the mean of theirs.

    Attributes
    ----------
    estimator_ : Estimator
        After an amortised fit.
    training_set_ : TrainingSet or StoredSet
        Simulations so far.
    training_info_ : TrainingInfo
        Losses of the last amortised fit; of an ensemble those of all members, one after the other.
    training_counts_ : SimulationCounts
        How many simulations it had, and how many were left out for which reason.
    sequential_ : SequentialPosterior
        After a sequential fit; ``focused_`` is its former name.

    References
    ----------
    Zhang, Bloom & Hernitschek (2023), arXiv:2312.03824.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy import stats
    >>> t = np.linspace(0, 1, 8)
    >>> priors = [stats.uniform(0, 1)]
    >>> engine = NBI("maf", "mlp", lambda theta: theta[0] * t, 0.1, priors, seed=1)
    >>> engine = engine.fit(n_sims=200, n_epochs=2)
    >>> samples, weights = engine.predict(0.5 * t, n_samples=100)
    >>> samples.shape, round(float(weights.sum()), 6)
    ((100, 1), 1.0)
    """

    @understands("__init__")
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
        n_ensemble: int = 1,
    ) -> None:
        # As given, so that scikit-learn can clone the engine; `Setup` knows what they mean.
        self.flow, self.featurizer = flow, featurizer
        self.simulator, self.noise, self.priors = simulator, noise, priors
        self.labels, self.channels, self.seed = labels, channels, seed
        self.device, self.n_jobs, self.pool, self.n_ensemble = device, n_jobs, pool, n_ensemble
        self._setup = Setup.read(self.get_params(deep=False))

    @understands("fit")
    @in_own_settings
    def fit(
        self,
        n_sims: int = TRAINING_SET.n_sims,
        n_rounds: int = 1,
        n_epochs: int = TRAINING_SET.n_epochs,
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
        checkpoint: str | Path | None = None,
    ) -> NBI:
        """Train the networks: once for all targets, or in rounds for one target.

        A second call keeps the simulations of the first one, and makes only those that are missing.

        Parameters
        ----------
        n_sims : int
            Number of simulations in all, or in each round.
        n_rounds : int
            1 trains for all targets. More rounds train for one target, and need ``x_obs``.
        n_epochs : int
            Largest number of epochs of a training.
        x : array_like, shape (n, *shape), optional
            Simulations without noise, real or complex, that you have made before. `fit` then makes only a few
            for comparison.
        y : array_like, shape (n, n_dim), optional
            Parameters of these simulations, drawn from the priors, in the order of the priors.
        x_obs, x_err, x_mask, mask, log_likelihood : optional
            The target of sequential rounds; see `infer`.
        store : str or pathlib.Path, optional
            File in which `fit` looks for simulations first, and in which it stores those that it makes.
        in_memory : bool, optional
            True to read the simulations of a store whole, False to read batches in every epoch; when None,
            up to a gigabyte of them is read whole.
        loss : {"nll", "apt"}
            Of sequential rounds; see docs/losses.md.
        refine : bool
            True to go over to fits of the weighted draws once rounds have found the posterior; False is the
            paper's Algorithm 1.
        training : mapping, optional
            Further settings of `TrainingConfig`, such as ``batch_size`` and ``learning_rate``; for these,
            networks on series and images have the defaults of `SignalTrainingConfig` where n_rounds is 1.
        on_epoch : callable, optional
            Called with the number of every epoch and its training and validation losses.
        print_method : str, optional
            ``"tqdm"``: a bar on a terminal and in notebooks, elsewhere a line every 10 s;
            ``"interval-60"``: a line every 60 s; ``"none"``: silence. Lines go to bilby's log.
        checkpoint : str or pathlib.Path, optional
            File in which an amortised training is kept, epoch by epoch. The same call goes on from it after
            an interruption, and gives the same result to the digit on a CPU. A finished training is read.

        Raises
        ------
        TypeError, ValueError
            For arguments that cannot be used, and where more than half of the simulations are lost: they are
            not finite, or have parameters that the priors do not allow. Also if the checkpoint is that of
            another training, or is no checkpoint (`ArchiveError`).

        Warns
        -----
        UserWarning
            Where some simulations are left out, or those given are not those of the simulator.
        """
        config = build(TrainingConfig, told := {**(training or {}), "n_epochs": n_epochs}, "training")
        require_count("n_sims", n_sims)
        require_count("n_rounds", n_rounds)
        _check_amortised(n_rounds, {"x, y": x, "store": store, "checkpoint": checkpoint})
        kept = None if checkpoint is None else TrainingCheckpoint(checkpoint)
        if kept is not None and kept.seed is not None and self.seed is None:
            self._setup = replace(self._setup, entropy=kept.seed)
        setup = self._setup
        with TrainingProgress(print_method, setup.n_ensemble * config.n_epochs, logger.info) as progress:
            if n_rounds == 1:
                progress.begin("simulating", n_sims)
                given: Any = (x, y, store, getattr(self, "training_set_", None), in_memory, progress.done)
                made = self.training_set_ = setup.training_set(n_sims, *given)
                config = training_config(setup.featurizer, told)
            with monitored(setup, {**self.get_params(deep=False), **asdict(config)}, on_epoch) as events:
                observer = Observers(events, progress)
                if n_rounds > 1:
                    target = (x_obs, x_err, one_mask(x_mask, mask))
                    rounds = {"n_sims": n_sims, "n_rounds": n_rounds, "loss": loss, "refine": refine}
                    given = (log_likelihood, setup, rounds, config, observer)
                    self.sequential_ = fit_sequentially(target, *given)
                    done = f"trained in {n_rounds} rounds"
                else:
                    observer.training_started("amortised")
                    if kept is not None and kept.n_epochs:
                        progress.say(f"nbi: {kept.n_epochs} epochs of the training are in {kept.path}")
                    rng, on_epoch = stage_generator(setup.entropy, "train"), observer.epoch_finished
                    found = fit_estimator(made, setup, told, rng, self.channels, on_epoch, kept)
                    self.estimator_, self.training_info_, self.training_counts_ = found
                    done = f"trained on {self.training_counts_.n_used:,} simulations"
            progress.finish(done)
        return self

    def set_params(self, **params: Any) -> NBI:
        """Change arguments of the engine. The trained networks stay."""
        super().set_params(**params)
        self._setup = Setup.read(self.get_params(deep=False))
        return self

    @in_own_settings
    def infer(
        self,
        x_obs: ArrayLike,
        x_err: ArrayLike | None = None,
        x_mask: ArrayLike | None = None,
        *,
        n_samples: int = INFERENCE.n_samples,
        log_likelihood: LogLikelihood | None = None,
        on_target: Callable[[], None] | None = None,
        mask: ArrayLike | None = None,
    ) -> Inferences:
        """Infer every target by importance sampling from the trained network: posterior, evidence and status.

        Parameters
        ----------
        x_obs : array_like, shape (*data_shape) or (n_targets, *data_shape)
            Real, or complex where simulations or their noise are.
        x_err : array_like, optional
            Uncertainties of the values: one number, of shape (length,), (n_targets, 1) or that of the data.
            Networks see them where the noise function gave some in training; weights are Gaussian in them.
            Of complex data it is the standard deviation of the real and of the imaginary part each.
        x_mask, mask : array_like of bool, shape (length,) or (n_targets, length), optional
            Two names of one: True where a point is present. Needed where networks were trained with masks,
            unless points that are NaN say which are missing; True for complete data.
        n_samples : int
            Draws, and simulations, for each target.
        log_likelihood : callable, optional
            ``(x, y, observation) -> ndarray, shape (n,)`` instead of Gaussian errors: simulations x, shape
            (n, *shape), of parameters y, shape (n, n_dim), and an object with the target's ``x``, ``x_err``
            and ``mask``.
        on_target : callable, optional
            Called after every target, for progress.

        Returns
        -------
        list of Inference
            One object for each target. Printing it shows a summary.

        Raises
        ------
        NotFittedError
            Before `fit`.
        TypeError, ValueError
            For data that cannot be used; says what was expected and what was given.
        """
        x_mask = one_mask(x_mask, mask)
        require_count("n_samples", n_samples)
        if self._is_sequential(x_obs, x_err, x_mask):
            return infer_sequentially(self.sequential_, self._setup, n_samples, log_likelihood, on_target)
        estimator = self._fitted()
        if x_err is None and log_likelihood is None and not estimator.data_format.has_uncertainty:
            x_err = errors_of_noise(self.noise)
        # Data are checked before the simulator is called.
        observation = estimator.observation(x_obs, x_err, x_mask, for_networks=False)
        proposals, p_values = estimator.proposals(observation), estimator.p_value(observation)
        with self._setup.evaluator() as (evaluator, model):
            known = (estimator.data_format, model, observation, x_obs)
            weigh, targets = target_likelihood(log_likelihood, *known)
            entropy = self._setup.entropy
            return infer(proposals, targets, p_values, evaluator, weigh, n_samples, entropy, on_target)

    @understands("predict")
    @in_own_settings
    def predict(
        self,
        x_obs: ArrayLike,
        x_err: ArrayLike | None = None,
        x_mask: ArrayLike | None = None,
        *,
        n_samples: int = INFERENCE.n_samples,
        log_likelihood: LogLikelihood | None = None,
        mask: ArrayLike | None = None,
    ) -> tuple[Array, Array]:
        """Draw weighted samples of the posteriors of one or several targets; `infer` describes the arguments.

        Returns
        -------
        samples : ndarray, shape (n_samples, n_dim) or (n_targets, n_samples, n_dim)
        weights : ndarray, shape (n_samples,) or (n_targets, n_samples)
            The weights of a target add up to 1. They are NaN if no likelihood was finite.

        Warns
        -----
        OutOfDistributionWarning
            If data do not look like the simulations.
        UnreliableWeightsWarning
            If the status of a target is not "ok" for another reason than too few draws.
        """
        x_mask = one_mask(x_mask, mask)
        found = self.infer(x_obs, x_err, x_mask, n_samples=n_samples, log_likelihood=log_likelihood)
        warn_out_of_distribution([each.p_value for each in found])
        warn_of_weights(found)
        samples, weights = np.stack([f.samples for f in found]), np.stack([f.weights for f in found])
        single = self._is_sequential(x_obs, x_err, x_mask) or self._fitted().data_format.is_single(x_obs)
        return (samples[0], weights[0]) if single else (samples, weights)

    @understands("sample")
    @in_own_settings
    def sample(
        self,
        x_obs: ArrayLike,
        x_err: ArrayLike | None = None,
        x_mask: ArrayLike | None = None,
        *,
        n_samples: int = INFERENCE.n_samples,
        mask: ArrayLike | None = None,
    ) -> Array:
        """Draw from the posterior of the network itself, without weights and without a simulation.

        The draws have the shape (n_samples, n_dim) or (n_targets, n_samples, n_dim).
        """
        require_count("n_samples", n_samples)
        estimator = self._fitted()
        observation = estimator.observation(x_obs, x_err, one_mask(x_mask, mask), for_networks=False)
        warn_out_of_distribution(estimator.p_value(observation))
        samples = []
        for i, proposal in enumerate(estimator.proposals(observation)):
            z = proposal.sample(n_samples, stage_generator(self._setup.entropy, "predict", i))
            samples.append(estimator.space.to_theta(z))
        return samples[0] if estimator.data_format.is_single(x_obs) else np.stack(samples)

    @in_own_settings
    def score(
        self,
        x: ArrayLike,
        y: ArrayLike,
        x_err: ArrayLike | None = None,
        x_mask: ArrayLike | None = None,
        *,
        mask: ArrayLike | None = None,
    ) -> float:
        """Information gained about true parameters, in nats: the mean of log posterior minus log prior.

        Parameters
        ----------
        x : array_like, shape (n_targets, *data_shape)
            With noise.
        y : array_like, shape (n_targets, n_dim)
            True parameters.
        x_err, x_mask, mask : array_like, optional
            See `infer`.
        """
        estimator = self._fitted()
        observation = estimator.observation(x, x_err, one_mask(x_mask, mask), for_networks=False)
        theta = np.atleast_2d(as_real_numbers(y, "y"))
        expected = (len(observation.x), estimator.space.n_dim)
        if theta.shape != expected:
            raise ValueError(f"y: expected parameters of the targets, shape {expected}, got {np.shape(y)}")
        return float(np.mean(estimator.log_ratio(theta, observation)))

    def _fitted(self) -> Estimator:
        if hasattr(self, "estimator_"):
            return self.estimator_
        found = "that was not; call fit first, or load a trained one by NBI.load"
        if hasattr(self, "sequential_"):
            found = "for the target of its rounds alone; give that, or call fit with n_rounds=1"
        raise NotFittedError(f"NBI: expected an engine that was trained for all targets, got one {found}")

    def _is_sequential(self, x_obs: ArrayLike, x_err: ArrayLike | None, mask: ArrayLike | None) -> bool:
        return hasattr(self, "sequential_") and self.sequential_.is_of(x_obs, x_err, mask)

    @property
    def focused_(self) -> Any:
        """Former name of ``sequential_``."""
        return self.sequential_


def _check_amortised(n_rounds: int, given: Mapping[str, Any]) -> None:
    """Refuse arguments of one training for all targets where there are rounds."""
    name = next((name for name, value in given.items() if value is not None), None)
    if n_rounds == 1 or name is None:
        return
    reason = "as rounds make their own simulations"
    remedy = "give n_rounds=1, which is amortised"
    if name == "checkpoint":
        reason, remedy = (
            "which keeps amortised trainings",
            'or take run_sampler(..., sampler="nbi", resume=True)',
        )
    raise ValueError(f"{name}: expected None with n_rounds={n_rounds}, {reason}; {remedy}")
