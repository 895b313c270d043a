"""bilby's interface for a sampler, independent of its algorithm.

This covers keywords by all of bilby's names, the place of the checkpoint, signals and cached results. Only
this module and `sampler.nbi` know bilby's Sampler class.
"""

from __future__ import annotations

import inspect
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

from bilby.core.result import Result
from bilby.core.sampler import run_sampler
from bilby.core.sampler.base_sampler import NestedSampler
from bilby.core.utils import command_line_args, logger

from nbi_sampler.algorithm.start import FormerSamples, Start
from nbi_sampler.core.config import SnpeConfig
from nbi_sampler.core.guarded import in_own_settings, users_errors, users_settings
from nbi_sampler.evaluation.batch import EvaluationError, LikelihoodError
from nbi_sampler.evaluation.calls import as_number, quiet_about_state
from nbi_sampler.priors.space import ParameterSpace
from nbi_sampler.sampler.keywords import DEFAULTS, Settings, translate
from nbi_sampler.sampler.other_samplers import nearest_of
from nbi_sampler.storage.cached_result import Question, find_result
from nbi_sampler.storage.checkpoint import CheckpointWriter
from nbi_sampler.storage.place import Place

__all__ = ["BilbySampler"]

_BASE_KEYWORDS = frozenset(inspect.signature(NestedSampler.__init__).parameters) - {"self", "kwargs"}

_BILBYS = _BASE_KEYWORDS | set(inspect.signature(run_sampler).parameters) - {"kwargs"}


def _with_hint(name: str) -> str:
    near = nearest_of(name, _BILBYS)
    return f"{name} (did you mean {near}?)" if near else name


class BilbySampler(NestedSampler):
    """bilby's interface for a sampler that writes its own checkpoints.

    Subclasses set ``_settings``, ``_space`` and ``_start`` before they initialise this class, because bilby
    asks for a cached result in the process. They set ``_writer`` once there is something to write.
    """

    sampler_name = "nbi"
    abbreviation = "nbi"
    sampling_seed_key = "seed"
    default_kwargs = DEFAULTS
    cached_result: Result | None
    _settings: Settings
    _space: ParameterSpace
    _start: Start | FormerSamples | None
    _other_question = False
    _writer: CheckpointWriter | None = None

    def __init__(
        self, likelihood: Any, priors: Any, outdir: Any = "outdir", label: Any = "label", **kwargs: Any
    ) -> None:
        self._process = os.getpid()
        self._place = Place(outdir, label, self.abbreviation)
        refused = None
        try:
            self._place.check()
        except OSError as error:
            if not self._place.holds_a_result:
                raise
            refused = error
        # bilby calls the likelihood while it makes the sampler.
        with users_settings(), users_errors():
            super().__init__(likelihood, priors, outdir=str(self._place.folder), label=label, **kwargs)
        if refused is not None and self.cached_result is None:
            raise refused
        self._place.checks_are_over(runs=self.cached_result is None)

    def log_likelihood(self, theta: Any) -> float:
        """Log-likelihood for bilby's checks before the run.

        Raises
        ------
        LikelihoodError
            If the likelihood raises or does not return a number. A TypeError is passed on to bilby, which has
            a hint for it.
        """
        try:
            with quiet_about_state(), users_settings(), users_errors():
                returned = super().log_likelihood(theta)
        except TypeError:
            raise
        except Exception as error:
            raise self._error_at(theta, error) from error
        try:
            return as_number(returned)
        except TypeError as error:
            raise self._error_at(theta, error) from error

    def _error_at(self, theta: Any, error: Exception) -> LikelihoodError:
        parameters = dict(zip(self.search_parameter_keys, map(float, theta), strict=True))
        return LikelihoodError({**parameters, **self._space.fixed}, error)

    def write_current_state(self) -> None:
        """Write the checkpoint; before the first draw this does nothing."""
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
        """Path of the only file of a run, in the folder of `get_expected_outputs`."""
        return self._place.checkpoint

    def _own_and_base(self, kwargs: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Keywords of this sampler, by its own names, and of bilby's base class."""
        own = {name: value for name, value in kwargs.items() if name not in _BASE_KEYWORDS or name == "npool"}
        base = {name: value for name, value in kwargs.items() if name not in own}
        return self._translate_kwargs(own), base

    def _translate_kwargs(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        equivalents = {"seed": self.sampling_seed_equiv_kwargs, "npool": self.npool_equiv_kwargs}
        equivalents["check_point_delta_t"] = self.check_point_equiv_kwargs
        # The engine accepts this name too.
        equivalents["x_mask"] = ["mask"]
        # aspire uses this name.
        equivalents["initial_result"] = ["initial_result_file"]
        # bilby always passes npool, which is 1 unless it is set, perhaps by another name.
        if kwargs.get("npool") == DEFAULTS["npool"]:
            del kwargs["npool"]
        keywords, ignored, unknown = translate(kwargs, equivalents)
        if ignored:
            logger.info(f"Sampler nbi does not use and ignores {', '.join(ignored)}")
        if unknown:
            logger.warning(
                f"Sampler nbi ignores {', '.join(map(_with_hint, unknown))}, which no known sampler takes. "
                f"The keywords of nbi are {', '.join(sorted(DEFAULTS))}"
            )
        kwargs.clear()
        kwargs.update(keywords)
        return kwargs

    def _verify_kwargs_against_default_kwargs(self) -> None:
        """Do nothing, because `_translate_kwargs` has already refused unknown keywords."""

    def _verify_external_sampler(self) -> None:
        """Do nothing, because the sampler is this package."""

    @in_own_settings
    def _check_cached_result(self, result_class: type[Result] | None = None) -> None:
        """Find a saved result that answers the same question, which makes a run unnecessary."""
        if command_line_args.clean or command_line_args.use_cached:
            super()._check_cached_result(result_class)
            return
        asked = Question(
            priors=self.priors,
            space=self._space,
            log_likelihood=self.log_likelihood,
            likelihood_data=(self.meta_data or {}).get("likelihood"),
            keywords=self._keywords(self._settings.snpe),
            use_ratio=bool(self.use_ratio),
            n_effective=self._settings.snpe.n_effective,
            seed=self.kwargs["seed"],
            injection_parameters=self.injection_parameters,
        )
        cached = find_result(self.outdir, self.label, result_class, asked)
        self.cached_result, self._other_question = cached.result, cached.other_question
        if cached.why_not:
            resumes = self._settings.resume and self.checkpoint_path.is_file()
            begins = "from the checkpoint, if it belongs to this run" if resumes else "from the beginning"
            logger.warning(f"The result {cached.path} {cached.why_not}; the sampler runs again, {begins}")

    def _keywords(self, config: SnpeConfig) -> dict[str, Any]:
        """All keywords of a run, by their names in its fingerprint."""
        digests = dict.fromkeys(("model", "initial_result"))
        if self._start is not None:
            digests["model" if isinstance(self._start, Start) else "initial_result"] = self._start.digest
        return {**self.kwargs, **asdict(config), **digests}

    def _save_after(self, error: BaseException) -> None:
        """Save the draws of a run that ends with an error; if the error is ours, add the name of the file."""
        self.write_current_state()
        if isinstance(error, EvaluationError) and self.checkpoint_path.exists():
            error.args = (f"{error}. The draws so far are in {self.checkpoint_path}; run again to continue",)
