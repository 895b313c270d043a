"""A survey of files on a dask cluster: train once, then one row of a table for every light curve.

``python survey_of_files.py [--files 1000] [--workers 2] [--cluster tcp://scheduler:8786]
[--draws 4000] [--effective 300] [--refine 10]``

It writes light curves of stellar flares, each with its own times and number of points, and everything else,
to build/flares/. End it at any moment, also by kill -9, and start it again: it goes on with the training and
with the light curves that are missing in the table. It reads one file after the other.

This first pass takes ``--draws`` draws of the network for each light curve. What is not "ok" after it needs
fits of its own, which take a hundred times as long: ``--refine 10`` makes them for the first ten.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import numpy as np
from bilby.core.likelihood import GaussianLikelihood
from bilby.core.prior import LogUniform, Uniform
from dask.distributed import Client, LocalCluster

from nbi_sampler import NBI, Survey, infer_many

OUTDIR = Path("build/flares")
N_DAYS, FEWEST, MOST = 10.0, 20, 60  # length of a light curve, and how many points it may have
PRIORS = dict(
    peak=Uniform(1, 9, latex_label=r"$t_{\rm peak}$", unit="d"),
    height=LogUniform(1, 10, latex_label="$h$"),
    decay=LogUniform(0.5, 3, latex_label=r"$\tau$", unit="d"),
)


def flux_at(days: np.ndarray, peak: float, height: float, decay: float) -> np.ndarray:
    """Flux of a flare that rises in a fifth of the time of its decay."""
    width = np.where(days < peak, 0.2 * decay, decay)
    return height * np.exp(-np.abs(days - peak) / width)


def observe(flares: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Days and fluxes, shape (..., 2, MOST), errors and a mask of the points that exist, of flares.

    Parameters
    ----------
    flares : ndarray, shape (..., 3)
        Parameters in the order of the priors.
    rng : numpy.random.Generator
    """
    shape = flares.shape[:-1]
    days = np.sort(rng.uniform(0.0, N_DAYS, size=(*shape, MOST)), axis=-1)
    n_points = rng.integers(FEWEST, MOST + 1, size=(*shape, 1))
    mask = rng.random((*shape, MOST)).argsort(axis=-1) < n_points
    error = rng.uniform(0.1, 0.5, size=(*shape, 1)) * np.ones(MOST)
    flux = flux_at(days, *(flares[..., i, None] for i in range(3)))
    return np.stack([days, flux + error * rng.normal(size=flux.shape)], axis=-2), error, mask


def simulator(parameters: dict[str, float]) -> np.ndarray:
    """Parameters as an array; `observe` makes their light curves, new ones in every epoch."""
    return np.stack(np.broadcast_arrays(*(parameters[name] for name in PRIORS)), axis=-1)


def write_files(n_files: int) -> list[Path]:
    """Write light curves of flares from the priors; those that exist stay."""
    paths = [OUTDIR / "curves" / f"{number:05d}.dat" for number in range(n_files)]
    paths[0].parent.mkdir(parents=True, exist_ok=True)
    for number, path in enumerate(paths):
        if not path.exists():
            rng = np.random.default_rng([7, number])
            flare = np.array([prior.rescale(rng.random()) for prior in PRIORS.values()])
            (days, flux), error, mask = observe(flare, rng)
            np.savetxt(path, np.column_stack([days, flux, error])[mask], header=f"truth {flare.tolist()}")
    return paths


def likelihoods(paths: list[Path]) -> Iterator[tuple[str, GaussianLikelihood]]:
    """Read files one by one, when a worker is free."""
    for path in paths:
        days, flux, error = np.loadtxt(path, unpack=True)
        yield path.stem, GaussianLikelihood(days, flux, flux_at, sigma=error)


def for_network(likelihood: GaussianLikelihood) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Data of a likelihood in the form of the training: MOST points, and a mask without the added ones."""
    n_missing = MOST - len(likelihood.x)
    rows = np.pad(np.stack([likelihood.x, likelihood.y]), ((0, 0), (0, n_missing)))
    error = np.pad(likelihood.sigma, (0, n_missing), constant_values=1.0)
    return rows, error, np.arange(MOST) < len(likelihood.x)


def trained(n_sims: int, n_epochs: int) -> Path:
    """File of an engine for light curves of any times and numbers of points."""
    path = OUTDIR / "flares.nbi"
    if not path.exists():
        engine = NBI("maf", "auto", simulator, observe, PRIORS, channels=("time", "value"), seed=1)
        engine.fit(n_sims, n_epochs=n_epochs, checkpoint=OUTDIR / "training.npz").save(path)
    return path


def coverage(survey: Survey, paths: list[Path]) -> str:
    """Share of the true values within the central 68 % and 95 % of their posteriors."""
    truths = np.array([json.loads(path.open().readline().split("truth")[1]) for path in paths])
    good = (survey.table.status == "ok").to_numpy()
    inside = []
    for low, high in ((1, 3), (0, 4)):
        between = (survey.quantiles[..., low] < truths) & (truths < survey.quantiles[..., high])
        inside.append(between[good].mean())
    return f"{inside[0]:.1%} and {inside[1]:.1%} of {good.sum()} 'ok' light curves"


def main() -> None:
    """Write files, train, infer, and print what it took."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--cluster", help="address of a scheduler")
    parser.add_argument("--draws", type=int, default=4000)
    parser.add_argument("--effective", type=int, default=300)
    parser.add_argument("--refine", type=int, default=0)
    parser.add_argument("--simulations", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, default=20)
    given = parser.parse_args()
    paths = write_files(given.files)
    model = trained(given.simulations, given.epochs)
    own = dict(n_workers=given.workers, threads_per_worker=1, dashboard_address=None)
    start = time.monotonic()
    with (
        nullcontext(given.cluster) if given.cluster else LocalCluster(**own) as cluster,
        Client(cluster) as client,
    ):
        survey = infer_many(
            model,
            likelihoods(paths),
            PRIORS,
            OUTDIR / "survey.h5",
            observed=for_network,
            pool=client.get_executor(),
            n_sims=given.draws,
            n_effective=given.effective,
            max_likelihood_calls=given.draws,
            n_samples=200,
            seed=3,
        )
    survey.write(OUTDIR / "survey.csv")
    print(survey.table.status.value_counts().to_string())
    print(f"true values within 68 % and 95 %: {coverage(survey, paths)}")
    print(f"median efficiency {survey.table.efficiency.median():.0%}")
    print(f"{time.monotonic() - start:.0f} s, median {survey.table.seconds.median():.2f} s a light curve")
    peaks = [
        resource.getrusage(who).ru_maxrss / 2**10 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    ]
    print(f"at most {peaks[0]:.0f} MiB in this process, {peaks[1]:.0f} MiB in a worker")
    if given.refine:
        poor = survey.table.index[survey.table.status != "ok"][: given.refine]
        again = likelihoods([path for path in paths if path.stem in set(poor)])
        refined = OUTDIR / "refined.h5"
        found = infer_many(model, again, PRIORS, refined, observed=for_network, n_effective=300, seed=3)
        print(found.table[["status", "ess", "n_calls", "seconds"]].to_string())


if __name__ == "__main__":
    main()
