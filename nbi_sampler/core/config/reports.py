"""Findings of a result besides its status, and its page."""

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
    """Limits beyond which a posterior piles up at an edge of its prior."""

    near: float = 0.2
    """Half of the posterior must lie within this share of the prior next to the edge. Not measured."""

    least_share: float = 0.24
    """Of the posterior within half its median distance from the edge: it is 0.25 for a density that is flat
    up to the edge, more where it rises, and 0.24 for a normal law with its peak 0.7 standard deviations
    inside."""

    farthest: float = 2.0
    """Median distance from the edge in units of the range between quartiles: 1 for a flat density, 0.8 for a
    normal law with its peak at the edge, far more where a prior only fades out."""

    fewest_effective: float = 100.0
    """Effective samples, by which that share is known to 0.04."""


PRIOR_EDGES = PriorEdgeConfig()


@dataclass(frozen=True, kw_only=True)
class ModelFitConfig:
    """Posterior predictive p-values, and when they speak against the model."""

    chi_squared: float = 1e-3
    """P-value of chi-squared below which the model does not fit. Of 16,000 simulated data sets of right
    models and known noise 6 fell below one of the three."""

    largest: float = 1e-4
    """P-value of the largest residual: smaller, because one outlier is no reason to doubt a model."""

    neighbours: float = 1e-3
    """P-value of the products of neighbouring residuals, from which their correlation is said."""

    most_correlated: float = 0.5
    """Correlation of neighbours above which the model is wrong; below it the noise is not independent. 0.32
    for a season of photometry from the ground, 0.66 to 0.94 for velocity curves of 40 and 100 points whose
    period is shut out while their noise level is free."""

    least_share: float = 0.5
    """Share of the result that has to have predictions. Not measured: less would not stand for the whole."""

    often_enough: float = 20.0
    """Replicas that exceed the data, at which a p-value is known to a fifth (Besag & Clifford 1991)."""

    fewest_replicas: int = 1_000
    most_replicas: int = 20_000
    """Limits of the replicas; the most of them resolve the smallest of the p-values above."""

    most_numbers: int = 200_000_000
    """Numbers in all replicas together, which are made in some seconds."""

    most_residuals: int = 1_000
    """Residuals that the meta data of a result keep, in some 7 kB of JSON; of more data points the one that
    is farthest from zero in each of as many blocks."""


MODEL_FIT = ModelFitConfig()


@dataclass(frozen=True, kw_only=True)
class ReportConfig:
    """The page of a result: what it calls alarming, and how much of a corner plot fits on it."""

    least_agreement: float = 1e-3
    """P-value of the scatter of log Z between batches below which the page says that they disagree."""

    largest_error: float = 0.3
    """Error of a batch's log Z above which it is not compared with others, as it is far from normal."""

    most_in_corner: int = 8
    """Parameters in the corner plot, which are legible on a page of 1,100 pixels."""

    most_rows: int = 20_000
    """Draws in the corner plot, more of which change no contour that can be seen."""


REPORT = ReportConfig()


@dataclass(frozen=True, kw_only=True)
class CalibrationConfig:
    """The page of diagnostics."""

    alarming: float = 0.01
    """P-value over all tests below which the page says that posteriors are not calibrated. By its definition
    one in a hundred right posteriors falls below it."""


CALIBRATION = CalibrationConfig()


@dataclass(frozen=True, kw_only=True)
class DiagnosisConfig:
    """Tests of a trained engine on simulations that it has not seen."""

    n_sims: int = 1000
    """New simulations, unless the user says how many. Not measured."""

    fewest_simulations: int = 100
    """Simulations without which there is no diagnosis. Not measured."""

    n_draws: int = 200
    """Draws of the network for each simulation, for ranks and local moments. Not measured."""

    most_observations: int = 12
    """Observations that are checked one by one; data out of distribution are looked for in all of them."""

    n_posterior: int = 2000
    """Draws of the network at an observation, each of which is simulated. Not measured."""

    n_predicted: int = 400
    """Draws of equal weight for the predictive check. Not measured."""

    near: float = 0.2
    """Share of the simulations that count as neighbours of an observation: their effective number under the
    weights of the local test."""

    fewest_near: int = 200
    """Least effective number of neighbours, where there are as many simulations. With 1,000 simulations of
    one, three and eight parameters, right posteriors fell below 5 % in 3 to 5 of 100 tests. Posteriors too
    narrow by a factor of 0.6 in half of the simulations had p < 0.01 there in all of 25 tests, and elsewhere
    in none, one and none."""

    n_components: int = 50
    """Kernel functions of the local classifier beside its quadratic terms. Not measured."""

    ridge: float = 0.1
    """Penalty of the local classifier, in units of the scatter of its features. Not measured."""

    n_permutations: int = 9999
    """Relabelled classifiers that give the p-value, which is at least one over their number."""

    clear: float = 3.0
    """Standard errors from which a bias or a wrong width is named in words."""


DIAGNOSIS = DiagnosisConfig()


@dataclass(frozen=True, kw_only=True)
class OutlookConfig:
    """Estimates of the time that a run still takes. They are shown, and steer nothing."""

    rounds: int = 2
    refinements: int = 3
    tempered: int = 4
    """Usual fits: in rounds, in the refinement, and with tempered weights in one that starts from the prior.
    Twelve problems of the benchmark, 5,000 effective samples: one to three, one to five (three in the
    median), and four or five. Of 79 estimates in 17 runs on a busy machine 41 were within a factor of two of
    what was left, and 57 within three."""

    growth: float = 10.0
    least_growth: float = 1.5
    most_steps: int = 10
    """Factor by which the power of the likelihood grows from one fit to the next where one fit alone is
    known, the least that is reckoned with, and the most fits. Not measured."""

    nearly: float = 0.75
    """Efficiency below which two fits more are reckoned with at least: transit took five, by 0.69, 0.58 and
    0.78 to 0.82."""

    usual_efficiency: float = 0.8
    least_efficiency: float = 0.02
    """Efficiency of the final draws while fits are still to come, and the least that is reckoned with. Not
    measured."""

    n_batches: int = 3
    """Last fits and batches that give the seconds of one fit and of one draw. Not measured."""

    least_told: float = 0.05
    """Share of the time left below which draws are not named beside fits. Not measured."""


OUTLOOK = OutlookConfig()
