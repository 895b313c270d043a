"""A survey of microlensing events: train once, fit hundreds of light curves, then a real one.

Run `python examples/survey_microlensing.py`. It writes the model, tables and plots to build/survey/. The
survey is one OGLE season, which observing/ogle_season.py simulates. It has nights lost to weather, fields
that are visited more or less often, and uncertainties from a hundredth of a magnitude for bright stars to a
tenth for faint ones. The real event is OGLE-2008-BLG-092, which `ogle_2008_blg_092.py` fits without a trained
model.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from bilby.core.likelihood import GaussianLikelihood
from bilby.core.prior import LogUniform, Normal, Uniform
from drawing.survey_microlensing import draw_real, draw_recovery, print_real, print_recovery
from observing.ogle_season import N_NIGHTS, LightCurve, observe, read

from nbi_sampler import NBI, infer_many

QUICK = "--quick" in sys.argv  # a short training and a few events, as a test
N_SIMS, N_EPOCHS, N_EVENTS = (300, 1, 3) if QUICK else (30_000, 28, 200)
AMOUNT = dict(max_likelihood_calls=1500) if QUICK else {}
OUTDIR = Path("build/survey")
DATA = Path(__file__).parent / "data" / "ogle-2008-blg-092.dat"

PRIORS = dict(
    t0=Uniform(0, N_NIGHTS, latex_label="$t_0$", unit="d"),
    u0=Uniform(0.1, 1.5, latex_label="$u_0$"),
    tE=LogUniform(5, 100, latex_label=r"$t_{\rm E}$", unit="d"),
    source=Uniform(0, 2, latex_label=r"$f_{\rm source}$"),
    baseline=Normal(1, 0.005, latex_label=r"$f_{\rm baseline}$"),
)


def flux_at(time: np.ndarray, t0: float, u0: float, tE: float, source: float, baseline: float) -> np.ndarray:
    """Flux of a source that a point lens magnifies (Paczynski 1986, ApJ 304, 1), in units of the baseline."""
    u_squared = u0**2 + ((time - t0) / tE) ** 2
    return baseline + source * ((u_squared + 2) / np.sqrt(u_squared * (u_squared + 4)) - 1)


def event(parameters: dict[str, float]) -> np.ndarray:
    """Parameters of events as an array; `noise` simulates their light curves."""
    return np.stack(np.broadcast_arrays(*(parameters[name] for name in PRIORS)), axis=-1)


def noise(events: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Light curves in the format of the network; every epoch of the training has another season."""
    return observe(flux_at, events, rng).for_network()


def likelihood_of(points: LightCurve, seen: LightCurve) -> GaussianLikelihood:
    """Gaussian likelihood of one light curve, with the network's input as an attribute."""
    time, flux, error, mask = points
    likelihood = GaussianLikelihood(time[mask], flux[mask], flux_at, sigma=error[mask])
    likelihood.observed = seen.for_network()
    return likelihood


def simulated(n_events: int, seed: int = 2) -> tuple[np.ndarray, list[GaussianLikelihood]]:
    """Events drawn from the priors, shape (n_events, 5), and their light curves."""
    rng = np.random.default_rng(seed)
    uniform = rng.uniform(size=(n_events, len(PRIORS)))
    events = np.stack([prior.rescale(u) for prior, u in zip(PRIORS.values(), uniform.T, strict=True)], axis=1)
    curves = [observe(flux_at, each, rng) for each in events]
    return events, [likelihood_of(each, each) for each in curves]


def main() -> None:
    """Train, run the survey, fit the real event, print the results, draw."""
    OUTDIR.mkdir(parents=True, exist_ok=True)
    trained = OUTDIR / "microlensing.nbi"
    if not trained.exists():
        flow = dict(type="maf", flow_hidden=128, num_blocks=2, n_mog=8)
        featurizer = dict(type="mlp", hidden=384, depth=3, dim_out=64)
        engine = NBI(flow, featurizer, event, noise, PRIORS, channels=("time", "value"), seed=1)
        engine.fit(N_SIMS, n_epochs=N_EPOCHS, training=dict(batch_size=256, learning_rate=1e-3)).save(trained)
    model = NBI.load(trained, simulator=event, noise=noise)
    settings = dict(observed=lambda likelihood: likelihood.observed, n_sims=4000, seed=3, **AMOUNT)

    truths, likelihoods = simulated(N_EVENTS)
    # In this first pass, events for which the model is insufficient get their status, but no separate fit.
    first_pass = dict(n_effective=300, max_likelihood_calls=12_000, npool=2) | settings
    survey = infer_many(model, likelihoods, PRIORS, OUTDIR / "survey.h5", **first_pass)
    print_recovery(truths, survey, PRIORS)
    draw_recovery(truths, survey, PRIORS, OUTDIR / "recovery.png")

    points = read(DATA, flux_at, guess=[115, 0.5, 18, 0.9, 1])
    targets = {DATA.stem: likelihood_of(points, points.nightly_means())}
    found = infer_many(model, targets, PRIORS, OUTDIR / "real.h5", n_effective=2000, **settings)
    print_real(found)
    draw_real(points, found, flux_at, OUTDIR / f"{DATA.stem}.png")
    print(f"\nmodel, tables and plots are in {OUTDIR}/")


if __name__ == "__main__":
    main()
