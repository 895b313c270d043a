"""The hooks that plugins may implement: signatures and what they promise, nothing else.

A plugin is a module (or any object) whose functions are marked with `hookimpl` and bear the name of a hook;
they may leave out arguments that they do not use. Its distribution names it under the entry-point group
``nbi_sampler``. `plugins` loads and calls them; docs/plugins.md walks through writing one.

What the package itself offers comes first among names, and last among forward models. Where a plugin raises
or answers with something else than a hook asks for, it is named in the log with its distribution and version,
and the run goes on as if it had answered None.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from nbi_sampler.algorithm.records import RoundRecord
    from nbi_sampler.forward import ForwardModel
    from nbi_sampler.networks.featurizers import FeaturizerKind
    from nbi_sampler.networks.flows import FlowKind
    from nbi_sampler.networks.training.losses import LossKind
    from nbi_sampler.reports.events import Epoch, Outcome, Run, Simulations

__all__ = [
    "HOOKS",
    "PROJECT",
    "epoch_finished",
    "featurizers",
    "flows",
    "forward_model",
    "hookimpl",
    "losses",
    "round_finished",
    "run_finished",
    "run_started",
    "simulations_drawn",
]

PROJECT = "nbi_sampler"
HOOKS = (
    *("forward_model", "featurizers", "flows", "losses"),
    *("run_started", "simulations_drawn", "epoch_finished", "round_finished", "run_finished"),
)

hookimpl = pluggy.HookimplMarker(PROJECT)
hookspec = pluggy.HookspecMarker(PROJECT)


@hookspec(firstresult=True)
def forward_model(likelihood: object) -> ForwardModel | None:
    """Give the model by which the data of a likelihood come about.

    Called in the main process when a sampler is made without ``simulator=``, and for every part of a joint
    likelihood, before the first draw. Plugins are called in the order of their names, the package last; the
    first that does not answer None decides. What it gives is pickled where worker processes evaluate the
    likelihood, so its class belongs in a module that these can import.

    Parameters
    ----------
    likelihood : bilby.core.likelihood.Likelihood
        Not to be changed.

    Returns
    -------
    ForwardModel or None
        None for a likelihood that the plugin does not know, subclasses that may override what it relies on
        among them. The model is compared with the likelihood on a few draws, and where they disagree the
        likelihood weighs the draws; its simulations train in any case.
    """


@hookspec
def featurizers() -> Mapping[str, FeaturizerKind | str]:  # type: ignore[empty-body]
    """Networks that turn data into features, by the name that ``featurizer=`` takes.

    Called whenever a featurizer is given by name; all answers are joined. A name that the package has
    itself, or a plugin before in the order of names, is refused.

    Returns
    -------
    mapping of str to FeaturizerKind, or to text ``"module:name"`` of one, imported where it is needed
        Its ``settings`` is a frozen, keyword-only dataclass that checks what it is given; its
        ``make(shape, n_params, settings)`` gives a new `Featurizer` for data of shape (n_channels, length).
        Initial weights may be drawn from torch's global generator, which is seeded by the run and put back.
    """


@hookspec
def flows() -> Mapping[str, FlowKind | str]:  # type: ignore[empty-body]
    """Densities, conditional or not, by the name that ``flow=`` takes.

    Called whenever a flow is given by name, when a checkpoint is read too; all answers are joined. A name
    that the package has itself, or a plugin before in the order of names, is refused.

    Returns
    -------
    mapping of str to FlowKind, or to text ``"module:name"`` of one, imported where it is needed
        Its ``settings`` is a frozen, keyword-only dataclass whose values JSON can hold; its
        ``make(n_dims, n_context, settings)`` gives a new `Density`, without a condition where ``n_context``
        is 0, and the same but for initial weights whenever it is called with the same numbers.
    """


@hookspec
def losses() -> Mapping[str, LossKind | str]:  # type: ignore[empty-body]
    """Objectives of the rounds, by the name that ``loss=`` takes.

    Called whenever a run begins or fits; all answers are joined. A name that the package has itself, or a
    plugin before in the order of names, is refused.

    Returns
    -------
    mapping of str to LossKind, or to text ``"module:name"`` of one, imported where it is needed
        Its ``make(flow, featurizer, data, y, config, rng, log_prior)`` gives a `NllObjective`; as a rule it
        is a subclass that replaces the method ``loss``.
    """


@hookspec
def run_started(run: Run) -> None:
    """A run begins, or goes on from its checkpoint.

    Called once in the main process, after the problem is made and before the first draw; all plugins are
    told, and what they return is ignored. As for every event: nothing that is handed over may be changed
    (arrays are read-only), time spent here is added to the run, and a plugin that raises is reported and
    told no more of this kind of event in this run.

    Parameters
    ----------
    run : Run
        The same object in all events of a run; fit for the key of a dictionary.
    """


@hookspec
def simulations_drawn(run: Run, simulations: Simulations) -> None:
    """A batch of draws has been evaluated.

    Called after the last draw of every batch, in every phase, before the next fit; all plugins are told.

    Parameters
    ----------
    run : Run
    simulations : Simulations
        Parameters, log-likelihoods, weights and, where the model was called, predictions. A plugin that
        keeps arrays beyond the call keeps their memory.
    """


@hookspec
def epoch_finished(run: Run, epoch: Epoch) -> None:
    """An epoch of a fit is complete.

    Called in the rounds and in the refinement, some hundred times in a run of seconds: be quick. All plugins
    are told.

    Parameters
    ----------
    run : Run
    epoch : Epoch
        Which fit, which epoch, and its training and validation loss.
    """


@hookspec
def round_finished(run: Run, number: int, record: RoundRecord, effective: float) -> None:
    """A step of the run is complete: its fit, its draws and their weights.

    Called once for every row of the table of rounds; all plugins are told.

    Parameters
    ----------
    run : Run
    number : int
        Of this step in the run, from 0, those before a resumption counted.
    record : RoundRecord
        What the result's meta data will hold of it.
    effective : float
        Effective size of the result so far.
    """


@hookspec
def run_finished(run: Run, outcome: Outcome) -> None:
    """The run has ended, in whatever way.

    Called once for every `run_started`: with the result's figures, or, where a signal or an error ended the
    run, with status "interrupted" and no figures. In the latter case the process is about to exit: close
    files and return. All plugins are told.

    Parameters
    ----------
    run : Run
    outcome : Outcome
    """
