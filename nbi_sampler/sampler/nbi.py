"""The sampler that bilby runs: it reads keywords, runs SNPE-IS and returns bilby's result.

bilby finds it by the entry point ``nbi``. `bilby_sampler` has the interface that bilby expects of any
sampler.
"""

from __future__ import annotations

import datetime
import math
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

from bilby.core.likelihood import Likelihood, ZeroLikelihood
from bilby.core.prior import PriorDict
from bilby.core.result import Result
from bilby.core.utils import command_line_args, logger

from nbi_sampler.algorithm.records import Observers
from nbi_sampler.algorithm.snpe import run
from nbi_sampler.algorithm.start import Start
from nbi_sampler.algorithm.state import State
from nbi_sampler.algorithm.step import Problem
from nbi_sampler.core.config import BRIEF_RUN, ROUNDS_TRAINING, SnpeConfig
from nbi_sampler.core.guarded import in_own_settings
from nbi_sampler.evaluation.pools import Pool, check_main_is_not_imported, opened_pool
from nbi_sampler.importance.reliability import Status
from nbi_sampler.plugins.manager import Plugin
from nbi_sampler.priors.constraints import check_constraints, idle_constraints
from nbi_sampler.priors.names import check_names
from nbi_sampler.priors.space import ParameterSpace
from nbi_sampler.reports.events import Outcome, Run, RunEvents
from nbi_sampler.reports.meta_data import describable, portable
from nbi_sampler.reports.plots.live import LivePlots
from nbi_sampler.reports.plots.run import figures_of
from nbi_sampler.reports.plots.view import RunView
from nbi_sampler.reports.progress import table_of_rounds
from nbi_sampler.reports.result import finished_run, in_order
from nbi_sampler.reports.run_progress import RunProgress
from nbi_sampler.sampler.bilby_sampler import BilbySampler
from nbi_sampler.sampler.keywords import DEFAULTS, read_settings
from nbi_sampler.sampler.problem import make_forward_model, make_problem, make_start
from nbi_sampler.sampler.signals import SignalsTo
from nbi_sampler.storage.checkpoint import Checkpoint, CheckpointWriter, save
from nbi_sampler.storage.fingerprint import fingerprint, plugins_at_work, settings_as_text
from nbi_sampler.storage.place import keep_results, remove_all
from nbi_sampler.storage.resume import begin, in_saved_order, say_how_it_begins

__all__ = ["Nbi"]


class Nbi(BilbySampler):
    """Sequential neural posterior estimation with importance sampling (SNPE-IS).

    A normalising flow is trained on simulations from the likelihood's own model until it approximates the
    posterior. Its draws are weighted with the likelihood, so the result is asymptotically exact.

    Parameters
    ----------
    likelihood : bilby.core.likelihood.Likelihood
    priors : bilby.core.prior.PriorDict or dict
    n_effective : float
        Stop when this many effective samples are reached.
    n_rounds : int
        Most rounds of simulation and training before the refinement.
    n_sims : int or "auto"
        Simulations in each round. Automatic: the number of parameters and the cost of the model decide.
    loss : str
        ``"nll"`` is the paper's; ``"apt"`` (Greenberg et al. 2019) trains on the draws of all rounds.
    refine : bool
        Whether flows are fitted to the weighted draws after the rounds have found the posterior. False, with
        ``loss="nll"``, is Algorithm 1 of the paper.
    max_likelihood_calls : int, optional
        Budget of calls. None means 200 calls for every required effective sample, and at least 200,000.
    seed : int, optional
        The same seed gives the same result; ``sampling_seed`` and ``random_seed`` are other names. None draws
        a seed, which is in the meta data of the result. No global generator is seeded.
    featurizer : str, dict or torch.nn.Module
        How data are turned into features: ``"auto"`` (``"pca"``), ``"svd"``, ``"mlp"``, ``"resnet-gru"``,
        ``"resnet"``, ``"gru"``, ``"attention"``, ``"resnet2d"``; a dictionary with ``"type"`` and settings;
        or a module that maps data of shape (n, n_channels, length) to features of shape (n, n_features).
    flow : str, dict or torch.nn.Module
        Density estimator: ``"maf"``, ``"nsf"``, ``"mdn"``; a dictionary of settings with ``"type"``; or a
        module with ``log_prob`` and ``sample``. The rounds use such a module, and the refinement uses
        ``"maf"``.
    simulator : callable, optional
        ``simulator(parameters) -> ndarray``, the noiseless prediction, real or complex, for likelihoods that
        are not recognised. ``parameters`` holds the sampled and fixed ones. Without it, the run learns from
        the values of such a likelihood alone.
    noise : float, ndarray or callable, optional
        Noise of the simulator: a standard deviation (for complex data, of the real and of the imaginary
        part), or ``noise(prediction, rng) -> ndarray``; None if the simulator adds its own.
    x_obs : array_like, optional
        Data of the same kind as the simulator's. The default is ``likelihood.y`` or ``likelihood.data``.
    vectorized : bool or "auto"
        Whether the model takes parameters of shape (n, 1), or a likelihood without a model those of shape
        (n,). Automatic: try the model, and functions of jax under ``jax.vmap``, and compare with single
        calls.
    training : dict, optional
        Settings of every fit: ``learning_rate``, ``weight_decay``, ``n_epochs``, ``patience``,
        ``batch_size``, ``n_batches``, ``validation_share``, ``gradient_norm``, ``n_atoms``, ``n_threads``.
    device : str
        Device on which networks are trained: ``"auto"``, ``"cpu"`` or ``"cuda"``.
    npool : int, optional
        Number of processes that evaluate the likelihood. The result does not depend on it.
    pool : object, optional
        Replaces ``npool``: any `concurrent.futures.Executor`, or an object with ``map``. It is never closed.
        See docs/scaling.md.
    resume : bool
        Whether to continue from the checkpoint of the same run, if there is one. False starts again and
        removes it.
    check_point_delta_t : float
        Fewest seconds between checkpoints. The interval is longer if writing one takes more than a twentieth
        of it. Signals and errors always write one.
    check_point_plot : bool
        Whether the plots that ``plot=True`` draws at the end are also drawn between checkpoints; see
        docs/plots.md.
    plot_format : str or list of str
        Format of these plots: ``"png"``, ``"pdf"`` or ``"svg"``, or several, such as ``"png,pdf"``. bilby's
        own corner plot is always a PNG.
    print_method : str, optional
        ``"tqdm"`` is a bar on a terminal and in notebooks, and otherwise a line every 10 s; ``"interval-60"``
        is a line every 60 s; ``"none"`` is silent.
    model : str, os.PathLike or NBI, optional
        A trained model, or its file, from which the run starts instead of the prior: docs/surveys.md.
    initial_result : str, os.PathLike, bilby.core.result.Result, pandas.DataFrame or dict, optional
        Samples of a former posterior from any sampler, from which the run starts instead of the prior: a
        result, its file, a data frame or a dictionary of arrays. See docs/reanalysis.md.
    x_err, x_mask : array_like, optional
        Data for the trained model, with ``x_obs``. The default is the data of the likelihood.
    **kwargs
        Further keywords of bilby's samplers: ``outdir``, ``label``, ``use_ratio``, ``exit_code`` and others.
        Keywords of other samplers, such as ``nlive`` or ``nwalkers``, are ignored with one line in the log. A
        name that is spelled almost like one of ours is an error, and any other name is a warning. Values that
        other samplers use, such as ``seed=-1``, have the same meaning here: docs/other_samplers.md.

    Notes
    -----
    The checkpoint is ``{outdir}/nbi_{label}/checkpoint.npz``. It is kept after a complete run, so the same
    call with a larger ``n_effective`` or ``max_likelihood_calls`` continues from it. A result on disk is
    returned only if it is "ok" and answers the same question: docs/checkpoint.md.
    `storage.checkpoint.read_draws` returns the draws of a checkpoint as plain arrays.

    Plugins may recognise more likelihoods, and offer more featurizers, flows and losses: docs/plugins.md.

    References
    ----------
    Zhang, Bloom & Hernitschek (2023), arXiv:2312.03824.
    """

    @in_own_settings
    def __init__(self, likelihood: Likelihood, priors: PriorDict | dict[str, Any], **kwargs: Any) -> None:
        own, base = self._own_and_base(kwargs)
        self._settings = read_settings({**DEFAULTS, **own})
        if self._settings.npool > 1 and own.get("pool") is None:
            check_main_is_not_imported()
        check_names(priors)
        priors = priors if isinstance(priors, PriorDict) else PriorDict(priors)
        self._space = ParameterSpace(priors)
        for name in idle_constraints(priors, self._space):
            logger.warning(
                f"nbi: the constraint on {name} never acts, because the conversion function of the priors "
                f"does not return {name}; pass one that does: PriorDict(priors, conversion_function=...)"
            )
        check_constraints(self._space, priors)
        self._forward = make_forward_model(likelihood, self._space, self._settings)
        self._start = make_start(priors, self._space, self._forward, self._settings)
        super().__init__(likelihood, priors, **base, **own)
        self.kwargs["npool"] = self._settings.npool
        self.result.sampler_kwargs = describable({**self.kwargs, "seed": self._settings.snpe.seed})

    def run_sampler(self) -> Result:
        """Run to the end and fill the result."""
        return self._run(self._settings.snpe)

    def _run_test(self) -> Result:
        """Run briefly, for bilby's test mode."""
        config, brief = self._settings.snpe, BRIEF_RUN
        most = min(config.max_likelihood_calls or brief.most_calls, brief.most_calls)
        return self._run(
            replace(
                config,
                n_effective=brief.n_effective,
                n_sims=brief.n_sims,
                n_rounds=brief.n_rounds,
                max_likelihood_calls=most,
            )
        )

    @in_own_settings
    def _run(self, config: SnpeConfig) -> Result:
        settings, since = self._settings, time.monotonic()
        n_epochs = settings.training.get("n_epochs", ROUNDS_TRAINING.n_epochs)
        progress = RunProgress(settings.print_method, config.n_effective, logger.info, n_epochs)
        try:
            with (
                self._place.occupied(),
                SignalsTo(self.write_current_state_and_exit, self.write_current_state) as signals,
                opened_pool(settings.npool, self.kwargs["pool"]) as pool,
            ):
                path = self.checkpoint_path
                if command_line_args.clean:
                    remove_all(path.parent.parent, self.label, path, logger)
                written = path.stat().st_mtime_ns if path.is_file() else None
                problem, asked, start = self._begin(config, pool, signals.check)
                writer = self._writer = CheckpointWriter(
                    partial(save, path, self._space.names, asked),
                    start,
                    settings.check_point_delta_t,
                    problem.evaluator.interrupted,
                    signals.held,
                    logger,
                    since,
                    signals.check,
                )
                config = replace(config, seed=start.seed)
                self.result.sampler_kwargs["seed"] = start.seed
                progress.go_on(start.state)
                plots = self._plots()
                with self._events(problem.evaluator.note, start) as events:
                    observers = Observers(writer, progress, events, plots)
                    state = run(problem, config, start.seed, observers, start.state)
                    writer.write()
                    outcome = self._fill_result(state, problem, config, writer.seconds)
                    events.finished(outcome)
        except SystemExit:
            raise
        except BaseException as error:
            self._save_after(error)
            raise
        finally:
            progress.close()
        new = self._other_question or state.n_calls > start.state.n_calls
        keep_results(path.parent.parent, self.label, None if new else written, logger)
        seconds = self.result.sampling_time.total_seconds()
        logger.info(f"Rounds of nbi:\n{table_of_rounds(state.records, seconds)}")
        if self.plot or self.kwargs["check_point_plot"]:
            plots.finish(self.result)
        return self.result

    def _begin(
        self, config: SnpeConfig, pool: Pool | None, between_calls: Callable[[], None]
    ) -> tuple[Problem, dict[str, Any], Checkpoint]:
        """Make the problem, its fingerprint and its start.

        The parameters have the order of the checkpoint. If the checkpoint turns out to belong to another run,
        they have the order of the priors, because a new run must not depend on files that it finds. A trained
        model has its own order, which must be that of the priors.
        """
        own, settings = self._space, self._settings
        path, seed, use_ratio = self.checkpoint_path, self.kwargs["seed"], bool(self.use_ratio)
        if settings.resume and self._start is None:
            self._space = in_saved_order(path, own, self.priors)
        while True:
            problem = make_problem(
                self.likelihood,
                use_ratio,
                self._space,
                self._forward,
                settings,
                pool,
                self._start,
                between_calls,
                config.refine,
            )
            keywords = self._keywords(config)
            asked = fingerprint(self.priors, self.likelihood, keywords, use_ratio, problem.evaluator)
            start = begin(path, asked, seed, problem, config, settings.resume, logger)
            if self._space is own or start.n_draws:
                say_how_it_begins(start, problem, config, logger)
                return problem, asked, start
            self._space = own
            # Its processes have the problem with the other order.
            if pool is not None:
                pool.close()

    @cached_property
    def _plugins(self) -> tuple[Plugin, ...]:
        """Plugins that affect the numbers of the result."""
        return plugins_at_work(self._forward, self.kwargs)

    def _plots(self) -> LivePlots:
        """Make the object that draws plots of the run, at intervals if these are set, and on demand."""
        return LivePlots(
            self._place.folder,
            partial(RunView.from_state, label=self.label, names=self._space.names, priors=self.priors),
            partial(figures_of, forward=self._forward, space=self._space, likelihood=self.likelihood),
            self._settings.check_point_delta_t if self.kwargs["check_point_plot"] else math.inf,
            logger,
            self._settings.plot_format,
        )

    def _events(self, note: str, start: Checkpoint) -> RunEvents:
        """Make the object that reports events of the run to plugins."""
        return RunEvents(
            Run(
                label=self.label,
                outdir=str(self._place.folder),
                names=self._space.names,
                settings=self.result.sampler_kwargs,
                seed=start.seed,
                note=note,
                plugins=self._plugins,
                records=start.state.records,
            )
        )

    def _fill_result(self, state: State, problem: Problem, config: SnpeConfig, seconds: float) -> Outcome:
        is_constant = isinstance(self.likelihood, ZeroLikelihood)
        fields, summary, outcome, findings = finished_run(
            state, problem, config, self.priors, seconds, is_constant
        )
        for name, value in in_order(fields, self._space.names, self.search_parameter_keys).items():
            setattr(self.result, name, value)
        self.result.sampling_time = datetime.timedelta(seconds=seconds)
        summary["nbi"].update(self._about_start(state))
        summary["nbi"]["settings"] = settings_as_text(
            self._keywords(config), bool(self.use_ratio), self.priors, self._space
        )
        summary["nbi"]["plugins"] = {
            plugin.name: {"distribution": plugin.distribution, "version": plugin.version}
            for plugin in self._plugins
        }
        summary["run_statistics"]["ncores"] = self._settings.npool
        self.result.meta_data.update(portable(summary))
        sound = outcome.status == Status.OK and not findings.correlated
        say = logger.info if sound else logger.warning
        say(f"nbi: {outcome.status}: {outcome.message}")
        return outcome

    def _about_start(self, state: State) -> dict[str, dict[str, Any]]:
        """Entry of the meta data about a start other than the prior. A line in the log tells of samples."""
        start = self._start
        if start is None:
            return {}
        if isinstance(start, Start):
            return {"model": {"digest": start.digest, "p_value": start.p_value}}
        if start.log_likelihood is not None:
            is_former = "the former one: its values teach the proposals, and no call is repeated"
            is_other = "not the former one, whose values are not used"
            if state.has_moved:
                is_other += ", and hardly any of these samples carries weight in the new posterior"
            logger.info(
                f"nbi: at {state.n_checked} former samples the likelihood is "
                f"{is_other if state.former_offset is None else is_former}"
            )
        now = {
            "n_checked": state.n_checked,
            "same_likelihood": state.former_offset is not None,
            "has_moved": state.has_moved,
        }
        return {"initial_result": {"digest": start.digest, **start.about, **now}}
