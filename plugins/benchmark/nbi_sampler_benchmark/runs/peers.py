"""The samplers that can be compared, with their requirements, settings and ways to run.

All of them run by `bilby.run_sampler`, through plugins if there are any, and otherwise through the adapter
beside this file. The packages of these samplers are optional.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

import bilby
import numpy as np
import pandas as pd
from bilby.core.likelihood import Likelihood
from bilby.core.prior import PriorDict
from bilby.core.result import Result

__all__ = ["PEERS", "Peer", "missing", "run_peer", "run_quietly"]


@contextmanager
def _weights_of_pocomc() -> Iterator[Callable[[Result], None]]:
    """Keep the weighted draws of pocomc, because its plugin returns only part of them, without weights."""
    import pocomc

    kept: list[Any] = []
    posterior = pocomc.Sampler.posterior

    def keeping(*args: Any, **kwargs: Any) -> Any:
        kept[:] = posterior(*args, **kwargs)
        return tuple(kept)

    def fill(result: Result) -> None:
        theta, weights, log_likelihood, _ = kept
        draws = pd.DataFrame(theta, columns=result.search_parameter_keys)
        result.nested_samples = draws.assign(log_likelihood=log_likelihood, weights=weights / weights.sum())

    pocomc.Sampler.posterior = keeping
    try:
        yield fill
    finally:
        pocomc.Sampler.posterior = posterior


@contextmanager
def _weights_of_aspire() -> Iterator[Callable[[Result], None]]:
    """Keep the weighted draws of aspire's importance sampler, because its plugin returns part of them.

    The plugin loses their evidence as well.
    """
    from aspire_bilby.plugin import Aspire

    kept: list[Any] = []
    add = Aspire.add_samples_to_result

    def keeping(self: Any, samples: Any) -> None:
        kept[:] = [samples]
        add(self, samples)

    def fill(result: Result) -> None:
        [samples] = kept
        log_weights = getattr(samples, "log_w", None)
        if log_weights is None:
            return
        log_weights = np.asarray(log_weights, dtype=np.float64)
        weights = np.exp(log_weights - log_weights.max())
        draws = pd.DataFrame(np.asarray(samples.x), columns=result.search_parameter_keys)
        result.nested_samples = draws.assign(
            log_likelihood=np.asarray(samples.log_likelihood), weights=weights / weights.sum()
        )
        result.log_evidence = float(samples.log_evidence)
        result.log_evidence_err = float(samples.log_evidence_error)

    Aspire.add_samples_to_result = keeping
    try:
        yield fill
    finally:
        Aspire.add_samples_to_result = add


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A sampler.

    Parameters
    ----------
    modules : tuple of str
        Modules that have to be importable.
    install : str
        Requirement for pip if they are missing.
    options : mapping
        Keywords besides the seed. All others have the defaults of the sampler or of its plugin.
    afterwards : callable
        Returns a context for the run; the context returns a function that completes the result.
    """

    modules: tuple[str, ...] = ()
    install: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    afterwards: Callable[[], Any] = nullcontext


_NESSAI = Peer(
    modules=("nessai", "nessai_bilby"),
    install="nessai nessai-bilby",
    options={"resume": False, "nessai_plot": False},
)

PEERS: dict[str, Peer] = {
    "nbi": Peer(options={"resume": False, "print_method": "none"}),
    "dynesty": Peer(
        modules=("dynesty",),
        install="dynesty",
        options={"resume": False, "check_point_plot": False, "print_method": "interval-60"},
    ),
    "nautilus": Peer(modules=("nautilus",), install="nautilus-sampler"),
    "pocomc": Peer(
        modules=("pocomc", "pocomc_bilby"),
        install="pocomc pocomc-bilby",
        options={"resume": False, "progress": False},
        afterwards=_weights_of_pocomc,
    ),
    "nessai": _NESSAI,
    "inessai": _NESSAI,
    "ultranest": Peer(
        modules=("ultranest", "ultranest_bilby"),
        install="ultranest ultranest-bilby",
        options={"resume": False, "show_status": False},
    ),
    "aspire": Peer(
        modules=("aspire", "aspire_bilby"),
        install='"aspire-inference[torch,minipcn]" aspire-bilby',
        options={"resume": False, "enable_checkpointing": False},
        afterwards=_weights_of_aspire,
    ),
}


def missing(sampler: str) -> str | None:
    """Return what has to be installed for a sampler, or None if nothing is missing.

    Parameters
    ----------
    sampler : str
        One of `PEERS`, or any other name that bilby knows.

    Examples
    --------
    >>> missing("nbi") is None
    True
    """
    peer = PEERS.get(sampler)
    if peer is None:
        known = bilby.core.sampler.get_implemented_samplers()
        if sampler.lower() in {name.removeprefix("bilby.") for name in known}:
            return None
        return f"no sampler of that name: expected one of {', '.join(PEERS)} or a name that bilby knows"
    absent = [module for module in peer.modules if find_spec(module) is None]
    return f"not installed: pip install {peer.install}" if absent else None


def run_peer(
    sampler: str,
    likelihood: Likelihood,
    priors: PriorDict,
    *,
    seed: int,
    outdir: str,
    options: Mapping[str, Any],
) -> Result:
    """Run one sampler with its usual settings.

    Parameters
    ----------
    sampler : str
    likelihood : bilby.core.likelihood.Likelihood
    priors : bilby.core.prior.PriorDict
    seed : int
    outdir : str
        Folder for the sampler's own files.
    options : mapping
        Keywords that override the usual ones.

    Returns
    -------
    bilby.core.result.Result
    """
    peer = PEERS.get(sampler, Peer())
    keywords = {**peer.options, "seed": seed, **options}
    runner: Any = sampler
    if sampler == "nautilus":
        from nbi_sampler_benchmark.runs.nautilus_sampler import Nautilus

        # An object, because bilby knows no class of this name and cannot make an object from a class.
        runner = Nautilus(likelihood, priors=priors, outdir=outdir, label=sampler, **keywords)
        keywords = {}
    with peer.afterwards() as complete, run_quietly():
        result = bilby.run_sampler(
            likelihood, priors, sampler=runner, outdir=outdir, label=sampler, save=False, **keywords
        )
        if complete is not None:
            complete(result)
    return result


@contextmanager
def run_quietly() -> Iterator[None]:
    """Suppress bilby's list of installed packages, whose call of pip would add seconds."""
    before = bilby.core.sampler.env_package_list
    bilby.core.sampler.env_package_list = lambda **_: pd.DataFrame()
    try:
        yield
    finally:
        bilby.core.sampler.env_package_list = before
