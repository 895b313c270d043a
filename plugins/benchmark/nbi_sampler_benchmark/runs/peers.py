"""The samplers that can be run side by side: what each needs, its usual settings, and how it is run.

All go through `bilby.run_sampler`: by plugins where they exist, else by the adapter beside this file. The
packages of the peers are optional.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

import bilby
import pandas as pd
from bilby.core.likelihood import Likelihood
from bilby.core.prior import PriorDict
from bilby.core.result import Result

__all__ = ["PEERS", "Peer", "missing", "run_peer", "run_quietly"]


@contextmanager
def _weights_of_pocomc() -> Iterator[Callable[[Result], None]]:
    """Keep the weighted draws of pocomc, of which its plugin passes on an unweighted part only."""
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


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A sampler.

    Parameters
    ----------
    modules : tuple of str
        That have to be importable.
    install : str
        What to give to pip where they are not.
    options : mapping
        Keywords besides the seed; what is not here is as the sampler, or its plugin, has it.
    afterwards : callable
        Gives a context to run in, which gives a function that completes the result.
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
}


def missing(sampler: str) -> str | None:
    """Name what has to be installed for a sampler, or None where nothing is missing.

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
        For the sampler's own files.
    options : mapping
        Keywords that come before the usual ones.

    Returns
    -------
    bilby.core.result.Result
    """
    peer = PEERS.get(sampler, Peer())
    keywords = {**peer.options, "seed": seed, **options}
    runner: Any = sampler
    if sampler == "nautilus":
        from nbi_sampler_benchmark.runs.nautilus_sampler import Nautilus

        # An object, as bilby knows no class by this name and cannot make one from a class.
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
    """Spare a run bilby's list of installed packages, for which it starts pip: no sampler's own seconds."""
    before = bilby.core.sampler.env_package_list
    bilby.core.sampler.env_package_list = lambda **_: pd.DataFrame()
    try:
        yield
    finally:
        bilby.core.sampler.env_package_list = before
