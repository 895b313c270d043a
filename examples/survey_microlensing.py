"""A survey of microlensing events: train once, fit hundreds of light curves, then a real one.

Run `python examples/survey_microlensing.py`; the model, tables and plots are then in build/survey/. The
simulated survey is that of one OGLE season: nights lost to weather, fields visited more or less often, and
uncertainties from a hundredth of a magnitude for bright stars to a tenth for faint ones. The real event is
OGLE-2008-BLG-092, of which `ogle_2008_blg_092.py` makes a fit without a trained model.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from bilby.core.likelihood import GaussianLikelihood
from bilby.core.prior import LogUniform, Normal, PriorDict, Uniform
from scipy import stats
from scipy.optimize import curve_fit

from nbi_sampler import NBI, Survey, infer_many

QUICK = "--quick" in sys.argv  # a network that has learnt little and a few events, to see that all works
OUTDIR = Path("build/survey")
LABEL = "ogle-2008-blg-092"
DATA = Path(__file__).parent / "data" / f"{LABEL}.dat"
SEASON_START, N_NIGHTS = 5264, 234  # HJD - 2450000, nights of the season of the real event
NIGHT = (0.48, 0.94)  # when it is dark in Chile, as a fraction of a day
# Okabe & Ito (2008), told apart by colour-blind readers too; one for each parameter.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00")
BLUE, VERMILION = COLOURS[:2]

PRIORS = PriorDict(
    dict(
        t0=Uniform(0, N_NIGHTS, latex_label="$t_0$", unit="d"),
        u0=Uniform(0.1, 1.5, latex_label="$u_0$"),
        tE=LogUniform(5, 100, latex_label=r"$t_{\rm E}$", unit="d"),
        source=Uniform(0, 2, latex_label=r"$f_{\rm source}$"),
        baseline=Normal(1, 0.005, latex_label=r"$f_{\rm baseline}$"),
    )
)


def flux_model(
    time: np.ndarray, t0: float, u0: float, tE: float, source: float, baseline: float
) -> np.ndarray:
    """Flux of a source that a point lens magnifies (Paczynski 1986, ApJ 304, 1), in units of the baseline."""
    u_squared = u0**2 + ((time - t0) / tE) ** 2
    return baseline + source * ((u_squared + 2) / np.sqrt(u_squared * (u_squared + 4)) - 1)


def event(parameters: dict[str, float]) -> np.ndarray:
    """What the survey looks at: an event is told by its parameters."""
    return np.stack(np.broadcast_arrays(*(parameters[name] for name in PRIORS)), axis=-1)


def observe(events: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Observe events, shape (..., 5), for a season; returns times, fluxes, their errors, and a mask.

    One slot a night, at any hour. Fields differ in how often they are visited, stars in how faint they are.
    """
    shape = events.shape[:-1]
    night = np.arange(N_NIGHTS)
    weather = np.cumsum(rng.normal(size=(*shape, N_NIGHTS + 8)), axis=-1)
    clear = weather[..., 8:] - weather[..., :-8] > -0.8 * np.sqrt(8)  # bad weather comes in spells
    visible = 0.4 + 0.6 * np.sin(np.pi * (night + 0.5) / N_NIGHTS)  # the bulge sets early in autumn
    visited = rng.random((*shape, N_NIGHTS)) < visible * rng.uniform(0.3, 1.0, size=(*shape, 1))
    time = night + rng.uniform(*NIGHT, size=(*shape, N_NIGHTS))
    flux = flux_model(time, *(events[..., i, None] for i in range(events.shape[-1])))
    faintness = 0.006 * (0.2 / 0.006) ** np.sqrt(rng.uniform(size=(*shape, 1)))  # most stars are faint
    photons = rng.uniform(0.5, 1.0, size=(*shape, 1))  # 0.5 where the source makes the noise
    error = faintness * np.clip(flux, 0.1, None) ** photons
    error = error * np.exp(0.1 * rng.normal(size=time.shape))
    return time, flux + error * rng.normal(size=time.shape), error, clear & visited


def as_seen(
    time: np.ndarray, flux: np.ndarray, error: np.ndarray, mask: np.ndarray
) -> tuple[np.ndarray, ...]:
    """What the network sees: times and compressed significances, uncertainties, and a mask."""
    return np.stack([time, np.arcsinh((flux - 1) / error)], axis=-2), error, mask


def noise(events: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """What the network sees of events: another season in every epoch of the training."""
    return as_seen(*observe(events, rng))


def likelihood_of(
    time: np.ndarray, flux: np.ndarray, error: np.ndarray, mask: np.ndarray
) -> GaussianLikelihood:
    """Bilby's likelihood of one light curve; what the network is to see of it goes along."""
    likelihood = GaussianLikelihood(time[mask], flux[mask], flux_model, sigma=error[mask])
    likelihood.observed = as_seen(time, flux, error, mask)
    return likelihood


def real_event() -> tuple[GaussianLikelihood, tuple[np.ndarray, ...]]:
    """OGLE-2008-BLG-092: all points for the likelihood, nightly means of the season for the network.

    Returns the likelihood; and times, fluxes and errors of all points.
    """
    time, magnitude, magnitude_error = np.loadtxt(DATA, unpack=True)
    time = time - SEASON_START
    flux = 10 ** (-0.4 * (magnitude - np.median(magnitude[time > N_NIGHTS])))
    error = flux * magnitude_error * np.log(10) / 2.5
    best, _ = curve_fit(flux_model, time, flux, p0=[115, 0.5, 18, 0.9, 1], sigma=error)
    error = error * np.sqrt(np.sum(((flux - flux_model(time, *best)) / error) ** 2) / (len(time) - 5))
    night = np.floor(time).astype(int)
    mean_time, mean_flux, mean_error = np.ones((3, N_NIGHTS))
    mask = np.isin(np.arange(N_NIGHTS), night)
    for i in np.flatnonzero(mask):
        weights = np.where(night == i, error**-2.0, 0.0)
        mean_time[i], mean_flux[i] = np.array([time, flux]) @ weights / weights.sum()
        mean_error[i] = weights.sum() ** -0.5
    likelihood = GaussianLikelihood(time, flux, flux_model, sigma=error)
    likelihood.observed = as_seen(mean_time, mean_flux, mean_error, mask)
    return likelihood, (time, flux, error)


def ranks_of(truths: np.ndarray, survey: Survey) -> np.ndarray:
    """Rank of the truths of events that are "ok" among the samples of their posteriors, from 0 to 1."""
    sound = (survey.table.status == "ok").to_numpy()
    return np.mean(survey.samples[sound] < truths[sound, None], axis=1)


def report(truths: np.ndarray, survey: Survey) -> None:
    """Print what the survey cost, and how well its posteriors are calibrated."""
    table, ranks = survey.table, ranks_of(truths, survey)
    counts = ", ".join(f"{count} {status}" for status, count in table.status.value_counts().items())
    low, middle, high = np.nanquantile(table.efficiency, (0.16, 0.5, 0.84))
    print(f"\n{len(table)} events: {counts}")
    print(f"efficiency         {middle:.0%} (16 % to 84 % of the events: {low:.0%} to {high:.0%})")
    print(f"likelihood calls   {np.median(table.n_calls):,.0f} an event, {np.median(table.seconds):.2f} s")
    if not len(ranks):
        return
    print(f"\n{'events ok':12s}{'in 68 %':>10s}{'in 95 %':>10s}{'ranks uniform (p)':>20s}")
    for i, name in enumerate(PRIORS):
        inside = [np.mean(np.abs(ranks[:, i] - 0.5) < 0.5 * level) for level in (0.68, 0.95)]
        p_value = stats.kstest(ranks[:, i], "uniform").pvalue
        print(f"{name:12s}{inside[0]:>10.0%}{inside[1]:>10.0%}{p_value:>20.2f}")


def report_real(survey: Survey) -> None:
    """Print the real event beside the fit of ogle_2008_blg_092.py, which had no trained model."""
    row, known = survey.table.iloc[0], {"t0": (5379.571, 0.05), "u0": (0.523, 0.026), "tE": (17.94, 0.55)}
    print(f"\nOGLE-2008-BLG-092: {row.status}, {row.ess:.0f} effective samples from {row.n_calls:,} calls")
    print(f"p-value of the data under the model: {row.p_value:.2f}")
    print(f"{'':8s}{'here':>24s}{'without a model':>26s}")
    for i, (name, (value, error)) in enumerate(known.items()):
        shift = SEASON_START if name == "t0" else 0
        here = f"{survey.mean[0, i] + shift:.3f} +- {survey.standard_deviation[0, i]:.3f}"
        print(f"{name:8s}{here:>24s}{f'{value} +- {error}':>26s}")


def plot_recovery(truths: np.ndarray, survey: Survey, path: Path) -> None:
    """Plot recovered against true parameters, and how well they are calibrated where the status is "ok"."""
    sound = (survey.table.status == "ok").to_numpy()
    figure, panels = plt.subplots(2, 3, figsize=(10, 6.5), layout="constrained")
    for i, (panel, (name, prior)) in enumerate(zip(panels.flat, PRIORS.items(), strict=False)):
        low, median, high = survey.quantiles[:, i, 1:4].T
        errors = np.array([median - low, high - median])
        for chosen, colour, label in ((~sound, "0.75", "other status"), (sound, BLUE, "ok")):
            points = dict(fmt="o", ms=2.5, lw=0.5, color=colour, alpha=0.6, label=label)
            panel.errorbar(truths[chosen, i], median[chosen], errors[:, chosen], **points)
        ends = [truths[:, i].min(), truths[:, i].max()]
        panel.plot(ends, ends, color="0.2", lw=0.8)
        scale = "log" if name == "tE" else "linear"
        panel.set(
            xlabel=f"true {prior.latex_label_with_unit}", ylabel="recovered", xscale=scale, yscale=scale
        )
    panels.flat[1].legend(frameon=False, loc="lower right", handletextpad=0.1)
    ranks = ranks_of(truths, survey)
    if len(ranks):
        plot_calibration(ranks, panels.flat[-1])
    for panel in panels.flat:
        panel.tick_params(direction="in", which="both", top=True, right=True)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def plot_calibration(ranks: np.ndarray, panel: plt.Axes) -> None:
    """Plot the share of truths below each quantile of their posteriors, with a band of 95 %."""
    grid = np.linspace(0, 1, 201)
    band = stats.binom.ppf([[0.025], [0.975]], len(ranks), grid) / len(ranks)
    panel.fill_between(grid, *(band - grid), color="0.85", lw=0, label="95 % by chance")
    for i, (prior, colour) in enumerate(zip(PRIORS.values(), COLOURS, strict=True)):
        below = np.searchsorted(np.sort(ranks[:, i]), grid, side="right") / len(ranks)
        panel.plot(grid, below - grid, lw=1.2, color=colour, label=prior.latex_label)
    panel.set(
        xlabel="quantile of the posterior", ylabel="share of truths below it $-$ quantile", ylim=(-0.2, 0.2)
    )
    panel.legend(frameon=False, loc="lower left", ncols=2, fontsize=8)


def plot_real(data: tuple[np.ndarray, ...], survey: Survey, path: Path) -> None:
    """Plot the season of the real event with curves drawn from its posterior."""
    grid = np.linspace(0, N_NIGHTS, 2000)
    curves = np.array([flux_model(grid, *sample) for sample in survey.samples[0, :200]])
    figure, (top, bottom) = plt.subplots(
        2, 1, figsize=(7, 5.5), sharex=True, height_ratios=(3, 1), layout="constrained"
    )
    points = dict(fmt="o", ms=3, lw=0.8, color="0.15", label="OGLE-IV $I$ band, season 2010")
    time, flux, error = data
    top.errorbar(time, flux, error, **points)
    top.plot(grid, curves.T, color=VERMILION, lw=0.5, alpha=0.1)
    top.plot([], [], color=VERMILION, label=f"{len(curves)} draws from the posterior")
    top.set(ylabel="flux / baseline", xlim=(0, N_NIGHTS))
    top.legend(frameon=False, loc="upper right")
    expected = np.interp(time, grid, np.median(curves, axis=0))
    bottom.errorbar(time, (flux - expected) / error, 1.0, **points)
    bottom.axhline(0.0, color=VERMILION, lw=0.8)
    bottom.set(xlabel=f"HJD $-$ {2450000 + SEASON_START} (days)", ylabel="residual / error", ylim=(-5, 5))
    for panel in (top, bottom):
        panel.tick_params(direction="in", top=True, right=True)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def trained(n_sims: int, n_epochs: int, path: Path) -> NBI:
    """Train the model, or read it where that has been done."""
    if not path.exists():
        flow = {"type": "maf", "flow_hidden": 128, "num_blocks": 2, "n_mog": 8}
        featurizer = {"type": "mlp", "hidden": 384, "depth": 3, "dim_out": 64}
        engine = NBI(flow, featurizer, event, noise, PRIORS, channels=("time", "value"), seed=1)
        engine.fit(n_sims, n_epochs=n_epochs, training={"batch_size": 256, "learning_rate": 1e-3}).save(path)
    return NBI.load(path, simulator=event, noise=noise)


def simulated(n_events: int, seed: int = 2) -> tuple[np.ndarray, list[GaussianLikelihood]]:
    """Events drawn from the priors, shape (n_events, 5), and their light curves."""
    rng = np.random.default_rng(seed)
    uniform = rng.uniform(size=(n_events, len(PRIORS)))
    events = np.stack([prior.rescale(u) for prior, u in zip(PRIORS.values(), uniform.T, strict=True)], axis=1)
    return events, [likelihood_of(*observe(each, rng)) for each in events]


def main(
    n_sims: int = 30_000, n_epochs: int = 28, n_events: int = 200, outdir: Path = OUTDIR, **settings: int
) -> None:
    """Train, run the survey, fit the real event, report and plot."""
    outdir.mkdir(parents=True, exist_ok=True)
    model = trained(n_sims, n_epochs, outdir / "microlensing.nbi")
    settings = dict(observed=lambda likelihood: likelihood.observed, n_sims=4000, seed=3) | settings
    truths, likelihoods = simulated(n_events)
    # A first pass: events of which the model knows too little get their status, and no fit of their own.
    first_pass = dict(n_effective=300, max_likelihood_calls=12_000, npool=2) | settings
    survey = infer_many(model, likelihoods, PRIORS, outdir / "survey.h5", **first_pass)
    report(truths, survey)
    plot_recovery(truths, survey, outdir / "recovery.png")
    likelihood, data = real_event()
    found = infer_many(model, {LABEL: likelihood}, PRIORS, outdir / "real.h5", n_effective=2000, **settings)
    report_real(found)
    plot_real(data, found, outdir / f"{LABEL}.png")
    print(f"\nmodel, tables and plots are in {outdir}/")


if __name__ == "__main__":
    main(**(dict(n_sims=300, n_epochs=1, n_events=3, max_likelihood_calls=4000) if QUICK else {}))
