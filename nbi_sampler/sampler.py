"""The sampler as bilby sees it: keywords in, a run of SNPE-IS, bilby's result out.

The only file that knows bilby's Sampler class; bilby finds it by the entry point ``nbi``.
"""

from __future__ import annotations

import datetime
import inspect
import math
import os
import sys
import time
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from bilby.core.likelihood import Likelihood
from bilby.core.prior import PriorDict
from bilby.core.result import Result
from bilby.core.sampler.base_sampler import NestedSampler
from bilby.core.utils import command_line_args, logger

from nbi_sampler.batch import EvaluationError, LikelihoodError
from nbi_sampler.cached_result import what_differs
from nbi_sampler.checkpoint import Checkpoint, CheckpointWriter, save
from nbi_sampler.config import SnpeConfig
from nbi_sampler.events import Outcome, Run, RunEvents
from nbi_sampler.fingerprint import fingerprint
from nbi_sampler.keywords import DEFAULTS, read_settings, translate
from nbi_sampler.plots.run import figures_of
from nbi_sampler.plots.view import RunView
from nbi_sampler.plots.watching import RunPlots
from nbi_sampler.pools import opened_pool
from nbi_sampler.problem import make_forward_model, make_problem, make_start
from nbi_sampler.progress import Progress, table_of_rounds
from nbi_sampler.provenance import plugins_at_work
from nbi_sampler.records import Observers
from nbi_sampler.result import describable, result_fields, run_summary
from nbi_sampler.resume import begin
from nbi_sampler.signals import SignalsTo
from nbi_sampler.snpe import run
from nbi_sampler.space import ParameterSpace
from nbi_sampler.state import State

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
    loss : str
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
        Whether the model takes parameters of shape (n, 1), or a likelihood without one of shape (n,);
        automatic: try the model, and functions of jax under ``jax.vmap``, and compare.
    training : dict, optional
        Settings of every fit: ``learning_rate``, ``weight_decay``, ``n_epochs``, ``patience``,
        ``batch_size``, ``validation_share``, ``gradient_norm``, ``n_atoms``, ``n_threads``.
    device : str
        Where networks train: ``"auto"``, ``"cpu"`` or ``"cuda"``.
    npool : int, optional
        Processes of this machine that evaluate the likelihood; the result is the same for any number.
    pool : object, optional
        Instead: any `concurrent.futures.Executor`, or an object with ``map``; never closed. See
        docs/scaling.md.
    resume : bool
        Go on from the checkpoint of the same run, where there is one. False starts afresh and removes it.
    check_point_delta_t : float
        Seconds between checkpoints, at least; they are rarer where writing one takes more than a twentieth
        of this. Signals and errors write one in any case.
    check_point_plot : bool
        Whether the plots of the run, which ``plot=True`` asks for at its end, are refreshed between
        checkpoints too; see docs/plots.md.
    print_method : str, optional
        ``"tqdm"``: a bar on a terminal, elsewhere a line every 10 s; ``"interval-60"``: a line every 60 s;
        ``"none"``: silence.
    model : str, os.PathLike or NBI, optional
        A trained model, or the file of one, to start from instead of the prior: docs/surveys.md.
    x_err, x_mask : array_like, optional
        With ``x_obs``, the data for the model; those of the likelihood by default.
    **kwargs
        Further keywords of bilby's samplers: ``outdir``, ``label``, ``use_ratio``, ``exit_code`` and others.
        Those that steer nested samplers, such as ``nlive``, are ignored with a line in the log; any other
        name is an error.

    Notes
    -----
    The checkpoint is ``{outdir}/nbi_{label}/checkpoint.npz``. It is kept when a run is complete, so that the
    same call with a larger ``n_effective`` or ``max_likelihood_calls`` goes on from there, once bilby's
    result file is out of the way. `draws_file.read_draws` gives its draws as plain arrays.

    Plugins may know more likelihoods, and offer more names of featurizers, flows and losses: docs/plugins.md.

    References
    ----------
    Zhang, Bloom & Hernitschek (2023), arXiv:2312.03824.
    """

    sampler_name = "nbi"
    abbreviation = "nbi"
    sampling_seed_key = "seed"
    default_kwargs = DEFAULTS
    cached_result: Result | None

    def __init__(self, likelihood: Likelihood, priors: PriorDict | dict[str, Any], **kwargs: Any) -> None:
        own = {name: value for name, value in kwargs.items() if name not in _BASE_KEYWORDS or name == "npool"}
        base = {name: value for name, value in kwargs.items() if name not in own}
        self._translate_kwargs(own)
        self._settings = read_settings({**DEFAULTS, **own})
        priors = priors if isinstance(priors, PriorDict) else PriorDict(priors)
        self._space = ParameterSpace(priors)
        self._forward = make_forward_model(likelihood, self._space, self._settings)
        self._start = make_start(priors, self._space, self._forward, self._settings)
        self._writer: CheckpointWriter | None = None
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
        """Write the checkpoint; before the first draw there is nothing to write."""
        n_draws = 0 if self._writer is None else self._writer.write()
        if n_draws:
            logger.info(f"{n_draws:,} draws are saved in {self.checkpoint_path}")

    def write_current_state_and_exit(self, signum: int | None = None, frame: Any = None) -> NoReturn:
        """Handle a signal: save and exit with ``exit_code``; a forked process only exits."""
        if os.getpid() != self._process:
            os._exit(self.exit_code)
        self._log_interruption(signum=signum)
        self.write_current_state()
        sys.exit(self.exit_code)

    @property
    def checkpoint_path(self) -> Path:
        """Of the one file of a run, in the directory that `get_expected_outputs` names."""
        return Path(self.outdir) / f"{self.abbreviation}_{self.label}" / "checkpoint.npz"

    def _translate_kwargs(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        equivalents = {"seed": self.sampling_seed_equiv_kwargs, "npool": self.npool_equiv_kwargs}
        equivalents["check_point_delta_t"] = self.check_point_equiv_kwargs
        # bilby always names npool: 1 where nobody has asked for more, perhaps by another name.
        if kwargs.get("npool") == DEFAULTS["npool"]:
            del kwargs["npool"]
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

    def _check_cached_result(self, result_class: type[Result] | None = None) -> None:
        """Find a result to return instead of running, as bilby does, but none of other data or priors."""
        super()._check_cached_result(result_class)
        if self.cached_result is None or command_line_args.use_cached:
            return
        n_effective = self._settings.snpe.n_effective
        differing = what_differs(
            self.cached_result, self.priors, self._space, self.log_likelihood, n_effective
        )
        if differing:
            logger.warning(f"The result in {self.outdir} was made with another {differing}: running again")
            self.cached_result = None

    def _run(self, config: SnpeConfig) -> Result:
        settings, since = self._settings, time.monotonic()
        progress = Progress(settings.print_method, config.n_effective, logger.info)
        plots = self._plots()
        try:
            with (
                SignalsTo(self.write_current_state_and_exit) as signals,
                opened_pool(settings.npool, self.kwargs["pool"]) as pool,
            ):
                use_ratio = bool(self.use_ratio)
                problem = make_problem(
                    self.likelihood, use_ratio, self._space, self._forward, settings, pool, self._start
                )
                keywords = {**self.kwargs, **asdict(config), "model": self._start and self._start.digest}
                asked = fingerprint(self.priors, self.likelihood, keywords, use_ratio, problem.evaluator)
                path, seed = self.checkpoint_path, self.kwargs["seed"]
                start = begin(path, asked, seed, problem, config, settings.resume, logger)
                writer = self._writer = CheckpointWriter(
                    partial(save, path, self._space.names, asked),
                    start,
                    settings.check_point_delta_t,
                    problem.evaluator.interrupted,
                    signals.held,
                    logger,
                    since,
                )
                config = replace(config, seed=start.seed)
                self.result.sampler_kwargs["seed"] = start.seed
                progress.go_on(start.state)
                with self._events(problem.evaluator.note, start) as events:
                    observers = Observers(writer, progress, events, plots)
                    state = run(problem, config, start.seed, observers, start.state)
                    writer.write()
        except SystemExit:
            raise
        except BaseException as error:
            self._save_after(error)
            raise
        finally:
            progress.close()
        outcome = self._fill_result(state, config, problem.evaluator.note, writer.seconds)
        events.finished(outcome)
        logger.info(f"Rounds of nbi:\n{table_of_rounds(state.records)}")
        if self.plot or self.kwargs["check_point_plot"]:
            plots.finish(self.result)
        return self.result

    def _plots(self) -> RunPlots:
        """What draws the run: at intervals where that is asked for, and when it is told to."""
        return RunPlots(
            Path(self.outdir),
            partial(RunView.from_state, label=self.label, names=self._space.names, priors=self.priors),
            partial(figures_of, forward=self._forward, space=self._space, likelihood=self.likelihood),
            self._settings.check_point_delta_t if self.kwargs["check_point_plot"] else math.inf,
            logger,
        )

    def _save_after(self, error: BaseException) -> None:
        """Save the draws of a run that an error ended, and name the file in the error where it is ours."""
        self.write_current_state()
        if isinstance(error, EvaluationError) and self.checkpoint_path.exists():
            error.args = (f"{error}. The draws so far are in {self.checkpoint_path}; run again to go on",)

    def _events(self, note: str, start: Checkpoint) -> RunEvents:
        """What tells plugins of the run."""
        return RunEvents(
            Run(
                label=self.label,
                outdir=str(self.outdir),
                names=self._space.names,
                settings=self.result.sampler_kwargs,
                seed=start.seed,
                note=note,
                plugins=plugins_at_work(self._forward, self.kwargs),
                records=start.state.records,
            )
        )

    def _fill_result(self, state: State, config: SnpeConfig, note: str, seconds: float) -> Outcome:
        assert config.seed is not None
        for name, value in result_fields(state, self._space, self.priors, config.seed).items():
            setattr(self.result, name, value)
        self.result.sampling_time = datetime.timedelta(seconds=seconds)
        summary = run_summary(state, config, self._space.n_dim, note, seconds)
        if self._start is not None:
            summary["nbi"]["model"] = {"digest": self._start.digest, "p_value": self._start.p_value}
        summary["nbi"]["plugins"] = {
            plugin.name: {"distribution": plugin.distribution, "version": plugin.version}
            for plugin in plugins_at_work(self._forward, self.kwargs)
        }
        self.result.meta_data.update(summary)
        own = summary["nbi"]
        say = logger.info if own["status"] == "ok" else logger.warning
        say(f"nbi: {own['status']}: {own['message']}")
        same = ("status", "message", "ess", "efficiency", "k_hat", "n_calls")
        return Outcome(
            log_evidence=self.result.log_evidence,
            log_evidence_err=self.result.log_evidence_err,
            **{name: own[name] for name in same},
        )
