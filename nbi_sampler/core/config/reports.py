"""Settings of the findings about a result besides its status, and of its page."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "CALIBRATION",
    "DIAGNOSIS",
    "MODEL_FIT",
    "OUTLOOK",
    "PRIOR_EDGES",
    "REPORT",
    "CalibrationConfig",
    "DiagnosisConfig",
    "ModelFitConfig",
    "OutlookConfig",
    "PriorEdgeConfig",
    "ReportConfig",
]


@dataclass(frozen=True, kw_only=True)
class PriorEdgeConfig:
    """Limits that identify a posterior piled up at an edge of its prior."""

    near: float = 0.2
    """Half of the posterior must lie within this share of the prior next to the edge. Exponential falls from
    the edge are named if their scale is up to 0.2 of the prior (0.3 is not), and up to 0.1 with half the
    limit. With twice the limit, any such fall is named, and a density that falls linearly over the prior."""

    least_share: float = 0.24
    """Smallest share of the posterior within half its median distance from the edge. The share is 0.25 for a
    density that is flat up to the edge, and larger if the density rises. It is 0.24 for a normal law whose
    peak is 0.7 standard deviations inside."""

    farthest: float = 2.0
    """Largest median distance from the edge, in interquartile ranges. It is 1 for a flat density and 0.8 for
    a normal law with its peak at the edge. It is far larger if a prior only fades out."""

    fewest_effective: float = 100.0
    """Fewest effective samples. They give that share to 0.04."""


PRIOR_EDGES = PriorEdgeConfig()


@dataclass(frozen=True, kw_only=True)
class ModelFitConfig:
    """Limits of posterior predictive p-values that speak against the model."""

    chi_squared: float = 1e-3
    """P-value of chi-squared below which the model does not fit. Of 16,000 simulated data sets from the right
    model with known noise, 6 fell below one of the three limits."""

    largest: float = 1e-4
    """P-value of the largest residual. It is smaller, because one outlier is no reason to doubt a model. Of
    100 data, the largest has to exceed 4.9 standard deviations."""

    neighbours: float = 1e-3
    """P-value of the products of neighbouring residuals below which their correlation is reported. A
    correlation of 0.5 is found in 30 (81) % of 4,000 sets of 40 (100) residuals, and one of 0.3 in 7 (31) %;
    with 1e-2, in 54 (94) and 21 (58) %."""

    most_correlated: float = 0.5
    """Correlation of neighbours above which the model is wrong. Below it, the noise is correlated. It is 0.32
    for a season of ground-based photometry. It is 0.66 to 0.94 for velocity curves of 40 and 100 points whose
    true period the prior excludes while the noise level is free."""

    least_share: float = 0.5
    """Smallest share of the result that needs predictions. A p-value of 0.748 from 5,000 draws scatters by
    0.001 with a random half of them, and is 0.699 to 0.797 with any half; with a tenth, 0.573 to 0.813."""

    often_enough: float = 20.0
    """Number of replicas that exceed the data. It gives the p-value to a fifth (Besag & Clifford 1991)."""

    fewest_replicas: int = 1_000
    most_replicas: int = 20_000
    """Limits of the number of replicas. 20 of 1,000 exceed the data if the p-value is 0.02. At the smallest
    of the p-values above, 2 of 20,000 do."""

    most_numbers: int = 200_000_000
    """Largest count of numbers in all replicas together. Drawing them takes some seconds."""

    most_residuals: int = 1_000
    """Most residuals in the meta data of a result, about 7 kB of JSON. Longer data are cut into as many
    blocks, and the residual that is farthest from zero represents each."""


MODEL_FIT = ModelFitConfig()


@dataclass(frozen=True, kw_only=True)
class ReportConfig:
    """Limits of alarming values on the page of a result, and sizes of its corner plot."""

    least_agreement: float = 1e-3
    """P-value of the scatter of log Z between batches below which the page says that they disagree. Of 4,000
    sets of five batches with log-normal weights, 0.2, 0.3 and 0.7 % fall below it if the errors of log Z are
    0.05, 0.1 and 0.2, and 1.4, 1.8 and 3.4 % below 0.01."""

    largest_error: float = 0.3
    """A batch with a larger error of log Z is not compared, because its errors are far from normal:
    of such sets with errors of 0.3, 0.5 and 1, 1.1, 1.9 and 4.2 % seem to disagree."""

    most_in_corner: int = 8
    """Most parameters in the corner plot, so that it is legible on a page of 1,100 pixels."""

    most_rows: int = 20_000
    """Most draws in the corner plot. The ends of an interval of 95 % are then known to 0.02 standard
    deviations, and to 0.01 with four times as many, which is less than a line is wide."""


REPORT = ReportConfig()


@dataclass(frozen=True, kw_only=True)
class CalibrationConfig:
    """The page of diagnostics."""

    alarming: float = 0.01
    """P-value over all tests below which the page says that posteriors are not calibrated. One in a hundred
    calibrated posteriors falls below it."""


CALIBRATION = CalibrationConfig()


@dataclass(frozen=True, kw_only=True)
class DiagnosisConfig:
    """Tests of a trained engine on simulations that it has not seen."""

    n_sims: int = 1000
    """New simulations, unless the user says how many. Ranks of one parameter have p < 0.01 in 98 (13) of 100
    tests if the posterior's width is wrong by a factor of 0.8 (0.9), in 61 (8) with half as many simulations,
    and in 100 (46) with twice as many."""

    fewest_simulations: int = 100
    """Simulations without which there is no diagnosis. With 100, the same test finds a width that is wrong by
    a factor of 0.6 in 59 of 100 cases, and a bias of 0.3 deviations in 45."""

    n_draws: int = 200
    """Draws of the network for each simulation, for ranks and local moments. With 100, 200 and 400, the ranks
    show a factor of 0.8 in 97, 98 and 98 of 100 tests."""

    most_observations: int = 12
    """Observations that are checked one by one; data out of distribution are looked for in all of them."""

    n_posterior: int = 2000
    """Draws of the network at an observation, each of which is simulated. Of 24 observations of a sine curve
    (engines with 1,000 simulations, two seeds), all have 100 effective draws of these, and 19 have 400; of
    half as many draws, 23 and 10."""

    n_predicted: int = 400
    """Draws of equal weight for the predictive check. A p-value of 0.05 has an error of 0.011, and of 0.022
    with a quarter of the draws."""

    near: float = 0.2
    """Share of the simulations that count as neighbours of an observation: their effective number under the
    weights of the local test. They are 200 of 1,000, the least number below, so a smaller share acts only
    with more simulations."""

    fewest_near: int = 200
    """Least effective number of neighbours, where there are as many simulations. With 1,000 simulations of
    one, three and eight parameters, right posteriors fell below 5 % in 3 to 5 of 100 tests. Posteriors too
    narrow by a factor of 0.6 in half of the simulations had p < 0.01 there in all of 25 tests, and elsewhere
    in none, one and none."""

    n_components: int = 50
    """Kernel functions of the local classifier beside its quadratic terms. With 600 simulations of three
    parameters, p < 0.02 for 4 of 12 posteriors that are too narrow by a factor of 0.87, for 12 of 12 with a
    wrong dependence, and for 1 of 12 right ones; with half as many kernels, for 5, 10 and 1."""

    ridge: float = 0.1
    """Penalty of the local classifier, in units of the scatter of its features. Of 24 posteriors that are too
    narrow by a factor of 0.87, 7 have p < 0.02 with half, once and twice the penalty; of 24 with a wrong
    dependence, 20, 21 and 21; of 24 right ones, 0, 1 and 1."""

    n_permutations: int = 9999
    """Relabelled classifiers that give the p-value, which is at least one over their number."""

    clear: float = 3.0
    """Standard errors from which a bias or a wrong width is named in words. One in 370 right ones exceeds
    them by chance."""


DIAGNOSIS = DiagnosisConfig()


@dataclass(frozen=True, kw_only=True)
class OutlookConfig:
    """Estimates of the remaining time of a run. They are displayed and do not change the run."""

    rounds: int = 2
    refinements: int = 3
    tempered: int = 4
    """Usual numbers of fits: in the rounds, in the refinement, and with tempered weights if the refinement
    starts from the prior. Twelve problems of the benchmark, with 5,000 effective samples, needed one to
    three, one to five (median three), and four or five. Of 79 estimates in 17 runs on a busy machine, 41 were
    within a factor of two of the time left, and 57 within three."""

    growth: float = 10.0
    least_growth: float = 1.5
    most_steps: int = 10
    """Assumed factor by which the power of the likelihood grows from one fit to the next after a single fit,
    the smallest assumed factor, and the most assumed fits. On eggbox, with 900 draws a batch, the power was
    0.04, 0.19, 0.87 and 1: factors of 5.1 and 4.7."""

    nearly: float = 0.75
    """Efficiency below which at least two more fits are assumed. The refinement of transit took five: its
    efficiency was 0.69, 0.58 and 0.78 to 0.82."""

    usual_efficiency: float = 0.8
    least_efficiency: float = 0.02
    """Assumed efficiency of the final draws while fits are still to come, and the smallest assumed one. The
    worst of three seeds is 0.83 to 0.95 on the eleven problems (docs/benchmark.md)."""

    n_batches: int = 3
    """Number of last fits and batches that give the seconds of one fit and of one draw. For transit (eight
    fits, seed 1, a busy machine) the seconds of the next fit are off by a factor of 1.4 in the mean; by 1.5
    with the last alone, and by 1.4 with six."""

    least_told: float = 0.05
    """Draws are not mentioned beside fits if they take less than this share of the time left, which is far
    below the error of the estimate: 41 of 79 were within a factor of two."""


OUTLOOK = OutlookConfig()
