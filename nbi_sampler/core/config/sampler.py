"""Settings of the bilby interface: starts from a trained model or former samples, surveys, misspelt names."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "BRIEF_RUN",
    "EVIDENCE",
    "FORMER",
    "MODEL_START",
    "SPELLING",
    "SURVEY",
    "BriefRunConfig",
    "EvidenceConfig",
    "FormerConfig",
    "ModelStartConfig",
    "SpellingConfig",
    "SurveyConfig",
]


@dataclass(frozen=True, kw_only=True)
class ModelStartConfig:
    """Rules of a run that starts from a trained model, and tests that reject the model."""

    prior_share: float = 0.05
    """Share of the prior in the first proposal. It bounds the weights and sends draws to where the model has
    no mass. With 1e-9 and without the test below, a model that knows one of two modes makes log Z too low by
    log 2 under "ok" (docs/surveys.md)."""

    surprising: float = 0.01
    """A density at the truth below this share of the prior density is a surprise. For a correct posterior,
    surprises are at most this share of all cases (Markov's inequality)."""

    most_surprises: float = 0.1
    """Largest share of surprises of an accepted model, ten times the bound. It rejects the model that knows
    one of two modes (docs/surveys.md)."""

    fewest_surprises: int = 3
    """Fewest surprises that reject a model. Three of thirty happen by chance with one model in 300."""

    most_simulations: int = 200
    """Most simulations in this test. In 20,000 tests, a model with surprises in 5 (20) % of all cases is
    rejected in 0.1 (100) % with 200 simulations, and in 1.1 (99) % with 100."""


@dataclass(frozen=True, kw_only=True)
class FormerConfig:
    """Limits for samples of a former posterior that a user passes."""

    fewest: int = 20
    """Fewest distinct samples within the priors. Without flows, fits to 10, 20, 40 and 80 samples of a bent
    posterior of five parameters have efficiencies of 0.01-0.10, 0.05-0.13, 0.07-0.12 and 0.26-0.31 (three
    seeds each)."""

    most: int = 20_000
    """Most samples in the fit. If there are more, a weighted choice is fitted. More would hardly be used: an
    epoch of the flow takes at most 6,144 of them, and the fit of a Gaussian mixture 10,000."""

    compared: int = 200
    same_prior: float = 1e-6
    """Samples at which the former prior density is compared, and the largest spread of the differences if it
    is the current one up to a constant. Another exponent of a power law is seen if it differs by 1e-6, and
    with 20 samples by 1e-4 but not by 1e-6."""


@dataclass(frozen=True, kw_only=True)
class EvidenceConfig:
    """Defaults for the evidence of another sampler's result."""

    n_effective: float = 2500
    """Effective samples. The error of log Z is then at most 0.02."""


@dataclass(frozen=True, kw_only=True)
class SurveyConfig:
    """Defaults of a survey."""

    n_effective: float = 1000
    """Effective samples for each target. The error of log Z is then at most 0.032."""
    n_samples: int = 500
    """Samples of equal weight that the table holds for each target. A mean is then known to 0.045 standard
    deviations. 10,000 targets with five parameters take 0.24 GB."""


@dataclass(frozen=True, kw_only=True)
class BriefRunConfig:
    """A run in bilby's test mode, which shows that everything works."""

    n_effective: float = 100
    n_sims: int = 200
    n_rounds: int = 1
    most_calls: int = 2000
    """Effective samples, draws of a round, rounds, and largest budget. Such a run of linear and of sine is
    "ok" after 1,000 and 1,800 calls (seed 1). On eggbox the budget ends it."""


@dataclass(frozen=True, kw_only=True)
class SpellingConfig:
    """Limits for misspelt keywords: similarity of two names according to difflib."""

    close: float = 0.8
    """Smallest similarity to one of our names that must have been meant. One letter in four or five may be
    wrong. It catches each misspelt name in tests/sampler. 0.7 catches 48 of 49 names of ours with one wrong
    letter, and takes none of 40 names of other samplers for ours."""

    closer: float = 0.9
    """Smallest similarity to a name of another sampler that wins if it is closer than ours. With 0.85, 0.9
    and 0.95 alike, 49 of 50 of our names with one wrong letter are found, and one of 82 names of other
    samplers with a wrong letter is taken for ours."""


MODEL_START, SURVEY, SPELLING = ModelStartConfig(), SurveyConfig(), SpellingConfig()
FORMER, EVIDENCE, BRIEF_RUN = FormerConfig(), EvidenceConfig(), BriefRunConfig()
