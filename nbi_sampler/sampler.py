"""The sampler as bilby sees it: keywords in, a run of SNPE-IS, bilby's result out.

The only file that knows bilby's Sampler class; bilby finds it by the entry point ``nbi``.
"""

from __future__ import annotations

import datetime
import inspect
import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from bilby.core.likelihood import Likelihood
from bilby.core.prior import PriorDict
from bilby.core.result import Result
from bilby.core.sampler.base_sampler import NestedSampler
from bilby.core.utils import logger

from nbi_sampler.batch import LikelihoodError
from nbi_sampler.config import SnpeConfig
from nbi_sampler.draws_file import DrawsKeeper, write_draws
from nbi_sampler.evaluation import Evaluator
from nbi_sampler.fitting import Networks
from nbi_sampler.forward import ForwardModel, UserModel, forward_model_for
from nbi_sampler.keywords import DEFAULTS, Settings, read_settings, translate
from nbi_sampler.likelihood_call import likelihood_function
from nbi_sampler.progress import Progress, table_of_rounds
from nbi_sampler.randomness import stage_generator
from nbi_sampler.records import Observers
from nbi_sampler.result import describable, result_fields, run_summary
from nbi_sampler.signals import signals_to
from nbi_sampler.snpe import run
from nbi_sampler.space import ParameterSpace
from nbi_sampler.step import Problem, State, simulations_per_round

__all__ = ["Nbi"]

_BASE_KEYWORDS = frozenset(inspect.signature(NestedSampler.__init__).parameters) - {"self", "kwargs"}


class Nbi(NestedSampler):
    """Sequential neural posterior estimation with importance sampling (SNPE-IS).

    A normalising flow is trained on simulations from the likelihood's own model until it looks like the
    posterior; its draws are weighted with the likelihood, so the answer is asymptotically exact.

    Parameters
    ----------
    likelihood : bilby.core.likelihood.Likelihood
    priors : bilby.core.prior.PriorDict or dict
    n_effective : float
        Stop when this many effective samples are reached.
    n_rounds : int
        Most rounds of simulating and training before the refinement.
    n_sims : int or "auto"
        Simulations a round; automatic: by the number of parameters and by what the model costs.
    loss : {"nll", "apt"}
        ``"nll"`` is the paper's; ``"apt"`` (Greenberg et al. 2019) trains on the draws of all rounds.
    refine : bool
        Whether a flow is fitted to the weighted draws once the rounds have found the posterior. False, with
        ``loss="nll"``, is the paper's Algorithm 1.
    max_likelihood_calls : int, optional
        Call budget. None stops after 200 calls for every effective sample asked for, or 200,000 if more.
    seed : int, optional
        Same seed, same result; ``sampling_seed`` and ``random_seed`` mean the same. None takes a fresh one,
        which the result's meta data name. No global generator is seeded.
    featurizer : str, dict or torch.nn.Module
        How data become features: ``"auto"`` (``"pca"``), ``"svd"``, ``"mlp"``, ``"resnet-gru"``,
        ``"resnet"``, ``"gru"``; a dictionary with ``"type"`` and settings; or a module from data of shape
        (n, n_channels, length) to features of shape (n, n_features).
    flow : str, dict or torch.nn.Module
        Density estimator: ``"maf"``, ``"nsf"``, ``"mdn"``; a dictionary of settings with ``"type"``; or a
        module with ``log_prob`` and ``sample``, which serves the rounds, the refinement keeping ``"maf"``.
    simulator : callable, optional
        ``simulator(parameters) -> ndarray``, the noiseless prediction, for likelihoods that are not
        recognised. ``parameters`` holds sampled and fixed ones. Without it such a likelihood is adapted to
        directly.
    noise : float, ndarray or callable, optional
        Of the simulator: standard deviation, or ``noise(prediction, rng) -> ndarray``; None if the simulator
        adds its own.
    x_obs : array_like, optional
        Data to compare the simulator's with; ``likelihood.y`` or ``likelihood.data`` by default.
    vectorized : bool or "auto"
        Whether the model takes parameters of shape (n, 1); automatic: try it and compare.
    training : dict, optional
        Settings of every fit: ``learning_rate``, ``weight_decay``, ``n_epochs``, ``patience``,
        ``batch_size``, ``validation_share``, ``gradient_norm``, ``n_atoms``, ``n_threads``.
    device : str
        Where networks train: ``"auto"``, ``"cpu"`` or ``"cuda"``.
    npool : int, optional
        Accepted; this version evaluates the likelihood in one process and says so.
    pool : object, optional
        As ``npool``.
    resume : bool
        Accepted; this version starts every run afresh.
    check_point_delta_t : float
        Accepted; this version writes its draws when a run is cut short.
    check_point_plot : bool
        Accepted; nothing is plotted during a run.
    print_method : str, optional
        ``"tqdm"``: a bar on a terminal, elsewhere a line every 10 s; ``"interval-60"``: a line every 60 s;
        ``"none"``: silence.
    model : None
        Reserved for a trained estimator to start from.
    **kwargs
        Further keywords of bilby's samplers: ``outdir``, ``label``, ``use_ratio``, ``exit_code`` and others.
        Those that steer nested samplers, such as ``nlive``, are ignored with a line in the log; any other
        name is an error.

    Notes
    -----
    All draws of a run that ends by an error or a signal are in ``{outdir}/nbi_{label}/draws.npz``.

    References
    ----------
    Zhang, Bloom & Hernitschek (2023), arXiv:2312.03824.
    """

    sampler_name = "nbi"
    abbreviation = "nbi"
    sampling_seed_key = "seed"
    default_kwargs = DEFAULTS

    def __init__(self, likelihood: Likelihood, priors: PriorDict | dict[str, Any], **kwargs: Any) -> None:
        own = {name: value for name, value in kwargs.items() if name not in _BASE_KEYWORDS or name == "npool"}
        base = {name: value for name, value in kwargs.items() if name not in own}
        self._translate_kwargs(own)
        self._settings = read_settings({**DEFAULTS, **own})
        priors = priors if isinstance(priors, PriorDict) else PriorDict(priors)
        self._space = ParameterSpace(priors)
        self._forward = _forward_model(likelihood, self._settings)
        _check_parameters(self._forward, self._space)
        self._keeper = DrawsKeeper()
        self._evaluator: Evaluator | None = None
        self._process = os.getpid()
        super().__init__(likelihood, priors, **base, **own)
        self.kwargs["npool"] = self._settings.npool
        self.result.sampler_kwargs = describable({**self.kwargs, "seed": self._settings.snpe.seed})

    def run_sampler(self) -> Result:
        """Run to the end and fill the result."""
        return self._run(self._settings.snpe)

    def _run_test(self) -> Result:
        """Run briefly, for bilby's test mode."""
        config = self._settings.snpe
        most = min(config.max_likelihood_calls or 2000, 2000)
        return self._run(
            replace(config, n_effective=100, n_sims=200, n_rounds=1, max_likelihood_calls=max(most, 100))
        )

    def log_likelihood(self, theta: Any) -> float:
        """Log-likelihood as bilby's checks before the run call it.

        Raises
        ------
        LikelihoodError
            Where the likelihood raises; a TypeError goes on to bilby, which has a hint for it.
        """
        try:
            return super().log_likelihood(theta)
        except TypeError:
            raise
        except Exception as error:
            parameters = dict(zip(self.search_parameter_keys, map(float, theta), strict=True))
            raise LikelihoodError({**parameters, **self._space.fixed}, error) from error

    def write_current_state(self) -> None:
        """Write every draw so far; see `draws_file.write_draws`."""
        partial = None if self._evaluator is None else self._evaluator.interrupted()
        n_draws = write_draws(self.draws_path, self._space.names, self._keeper.batches, partial)
        if n_draws:
            logger.info(f"{n_draws:,} draws are saved in {self.draws_path}")

    def write_current_state_and_exit(self, signum: int | None = None, frame: Any = None) -> NoReturn:
        """Handle a signal: save and exit with ``exit_code``; a forked process only exits."""
        if os.getpid() != self._process:
            os._exit(self.exit_code)
        self._log_interruption(signum=signum)
        self.write_current_state()
        sys.exit(self.exit_code)

    @property
    def draws_path(self) -> Path:
        """Where the draws of a run that is cut short are saved."""
        return Path(self.outdir) / f"{self.abbreviation}_{self.label}" / "draws.npz"

    def _translate_kwargs(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        equivalents = {"seed": self.sampling_seed_equiv_kwargs, "npool": self.npool_equiv_kwargs}
        equivalents["check_point_delta_t"] = self.check_point_equiv_kwargs
        steering = (*self.npoints_equiv_kwargs, *self.walks_equiv_kwargs)
        keywords, ignored = translate(kwargs, equivalents, steering)
        if ignored:
            logger.info(f"Sampler nbi has no use for {', '.join(ignored)}: ignored")
        kwargs.clear()
        kwargs.update(keywords)
        return kwargs

    def _verify_kwargs_against_default_kwargs(self) -> None:
        """Nothing is left to do: `_translate_kwargs` has refused what is unknown."""

    def _verify_external_sampler(self) -> None:
        """Nothing to import: the sampler is this package."""

    def _run(self, config: SnpeConfig) -> Result:
        start = time.perf_counter()
        assert config.seed is not None
        if self._settings.npool > 1 or self.kwargs["pool"] is not None:
            logger.warning(
                "npool, pool: this version evaluates the likelihood in one process; leave them out"
            )
        progress = Progress(self._settings.print_method, config.n_effective, logger.info)
        observer = Observers(self._keeper, progress)
        try:
            with signals_to(self.write_current_state_and_exit):
                problem = self._problem(config)
                state = run(problem, config, config.seed, observer)
        except SystemExit:
            raise
        except BaseException as error:
            self._save_after(error)
            raise
        finally:
            progress.close()
        self._fill_result(state, config, problem.evaluator.note, time.perf_counter() - start)
        logger.info(f"Rounds of nbi:\n{table_of_rounds(state.records)}")
        return self.result

    def _problem(self, config: SnpeConfig) -> Problem:
        settings = self._settings
        function = likelihood_function(self.likelihood, bool(self.use_ratio))
        offset = -float(self.likelihood.noise_log_likelihood()) if self.use_ratio else 0.0
        rng = stage_generator(config.seed or 0, "probe")
        evaluator = Evaluator(self._space, function, self._forward, rng, offset, settings.vectorized)
        self._evaluator = evaluator
        networks = Networks(
            settings.featurizer, settings.flow, settings.refinement_flows, settings.device, settings.n_threads
        )
        problem = Problem(evaluator, networks)
        n_sims = simulations_per_round(config, evaluator)
        where = f"device {settings.device}, seed {config.seed}, {n_sims:,} simulations a round"
        logger.info(f"nbi: {evaluator.note}; {where}")
        return replace(
            problem,
            training=replace(problem.training, **settings.training),
            refinement_training=replace(problem.refinement_training, **settings.training),
        )

    def _save_after(self, error: BaseException) -> None:
        """Save the draws of a run that an error ended, and name the file in the error where it is ours."""
        self.write_current_state()
        if isinstance(error, LikelihoodError) and self.draws_path.exists():
            error.args = (f"{error}. The draws so far are in {self.draws_path}",)

    def _fill_result(self, state: State, config: SnpeConfig, note: str, seconds: float) -> None:
        assert config.seed is not None
        for name, value in result_fields(state, self._space, self.priors, config.seed).items():
            setattr(self.result, name, value)
        self.result.sampling_time = datetime.timedelta(seconds=seconds)
        summary = run_summary(state, config, self._space.n_dim, note, seconds)
        self.result.meta_data.update(summary)
        status, message = summary["nbi"]["status"], summary["nbi"]["message"]
        say = logger.info if status == "ok" else logger.warning
        say(f"nbi: {status}: {message}")


def _check_parameters(forward: ForwardModel | None, space: ParameterSpace) -> None:
    """Refuse priors that lack a parameter of the model, by name and before the first call."""
    if forward is None:
        return
    needed = [*(forward.prediction_parameters or ()), *forward.noise_parameters]
    missing = [name for name in needed if name not in space.names and name not in space.fixed]
    if missing:
        given = ", ".join((*space.names, *space.fixed))
        raise ValueError(
            f"priors: expected one for every parameter of the likelihood ({forward.name}), got none for "
            f"{', '.join(missing)} beside {given}; add a prior or a fixed value"
        )


def _forward_model(likelihood: Likelihood, settings: Settings) -> ForwardModel | None:
    """What makes simulations: the user's simulator, or what is known of the likelihood, or nothing."""
    if settings.simulator is None:
        return forward_model_for(likelihood)
    observed = settings.x_obs
    for name in ("y", "data"):
        if observed is None:
            observed = getattr(likelihood, name, None)
    if observed is None:
        raise ValueError(
            f"x_obs: expected the observed data for the simulator, got None, and "
            f"{type(likelihood).__name__} has neither 'y' nor 'data'; pass x_obs="
        )
    return UserModel(settings.simulator, settings.noise, observed)
