"""The hooks that plugins may implement: only their signatures and contracts.

A plugin is a module (or any object) with functions that are marked with `hookimpl` and named like a hook.
They may omit arguments that they do not use. Its distribution lists it under the entry-point group
``nbi_sampler``. `plugins` loads and calls plugins; docs/plugins.md explains how to write one.

Among names, the offers of the package come first; among forward models, they come last. If a plugin raises,
or returns something that the hook does not allow, the log names it with its distribution and version. The run
then continues as if the plugin had returned None.
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
    """Return the model that describes how the data of a likelihood arise.

    The hook is called in the main process before the first draw, when a sampler is made without
    ``simulator=``, and for every part of a joint likelihood. Plugins are called in alphabetical order of
    their names, and the package last. The first value other than None is used. It is pickled if worker
    processes evaluate the likelihood, so its class has to be in a module that these can import.

    Parameters
    ----------
    likelihood : bilby.core.likelihood.Likelihood
        The likelihood, which must not be changed.

    Returns
    -------
    ForwardModel or None
        None for a likelihood that the plugin does not know. This includes subclasses that may override
        methods which the plugin relies on. The model is compared with the likelihood at a few draws. If they
        disagree, the likelihood gives the weights, and the simulations of the model are used only for
        training.
    """


@hookspec
def featurizers() -> Mapping[str, FeaturizerKind | str]:  # type: ignore[empty-body]
    """Return networks that turn data into features, by the name for ``featurizer=``.

    The hook is called whenever a featurizer is chosen by name, and all returned values are merged. A name is
    refused if the package has it, or an earlier plugin in alphabetical order.

    Returns
    -------
    mapping of str to FeaturizerKind, or to text ``"module:name"`` of one, imported where it is needed
        Its ``settings`` is a frozen, keyword-only dataclass that validates its fields. Its
        ``make(shape, n_params, settings)`` returns a new `Featurizer` for data of shape (n_channels, length).
        Initial weights may be drawn from torch's global generator, which the run seeds and restores.
    """


@hookspec
def flows() -> Mapping[str, FlowKind | str]:  # type: ignore[empty-body]
    """Return densities, with or without a condition, by the name for ``flow=``.

    The hook is called whenever a flow is chosen by name, also when a checkpoint is read, and all returned
    values are merged. A name is refused if the package has it, or an earlier plugin in alphabetical order.

    Returns
    -------
    mapping of str to FlowKind, or to text ``"module:name"`` of one, imported where it is needed
        Its ``settings`` is a frozen, keyword-only dataclass with values that JSON can hold. Its
        ``make(n_dims, n_context, settings)`` returns a new `Density`, unconditional if ``n_context`` is 0.
        Calls with the same numbers return the same flow, except for its initial weights.
    """


@hookspec
def losses() -> Mapping[str, LossKind | str]:  # type: ignore[empty-body]
    """Return objectives of the rounds, by the name for ``loss=``.

    The hook is called whenever a run begins or fits, and all returned values are merged. A name is refused if
    the package has it, or an earlier plugin in alphabetical order.

    Returns
    -------
    mapping of str to LossKind, or to text ``"module:name"`` of one, imported where it is needed
        Its ``make(flow, featurizer, data, y, config, rng, log_prior)`` returns an `NllObjective`, usually a
        subclass that replaces the method ``loss``.
    """


@hookspec
def run_started(run: Run) -> None:
    """A run begins, or continues from its checkpoint.

    The hook is called once in the main process, after the problem is made and before the first draw. All
    plugins are called, and their return values are ignored. The following applies to every event. Arguments
    must not be changed, and arrays are read-only. The time of the call is added to the run. If a plugin
    raises, the log reports it, and the plugin gets no more events of this kind in this run.

    Parameters
    ----------
    run : Run
        The same object in all events of a run. It can be the key of a dictionary.
    """


@hookspec
def simulations_drawn(run: Run, simulations: Simulations) -> None:
    """A batch of draws has been evaluated.

    The hook is called after the last draw of every batch in every phase, before the next fit. All plugins are
    called.

    Parameters
    ----------
    run : Run
    simulations : Simulations
        Parameters, log-likelihoods, weights and, if the model was called, predictions. A plugin that keeps
        the arrays after the call keeps their memory.
    """


@hookspec
def epoch_finished(run: Run, epoch: Epoch) -> None:
    """An epoch of a fit is complete.

    The hook is called in the rounds and in the refinement, about a hundred times in a run of seconds, so it
    has to be fast. All plugins are called.

    Parameters
    ----------
    run : Run
    epoch : Epoch
        The fit, the epoch, and its training and validation loss.
    """


@hookspec
def round_finished(run: Run, number: int, record: RoundRecord, effective: float) -> None:
    """A step of the run is complete, with its fit, its draws and their weights.

    The hook is called once for every row of the table of rounds. All plugins are called.

    Parameters
    ----------
    run : Run
    number : int
        Number of this step in the run, from 0; steps before an interruption are counted.
    record : RoundRecord
        The record of this step in the result's meta data.
    effective : float
        Effective sample size of the result so far.
    """


@hookspec
def run_finished(run: Run, outcome: Outcome) -> None:
    """The run has ended for any reason.

    The hook is called once for every `run_started`. It gets the figures of the result. If a signal or an
    error ended the run, the status is "interrupted" and there are no figures. The process is then about to
    exit, so close files and return. All plugins are called.

    Parameters
    ----------
    run : Run
    outcome : Outcome
    """
