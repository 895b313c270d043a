"""The face to bilby: a trained model or former samples to start from, surveys, and slips of the pen."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "EVIDENCE",
    "FORMER",
    "MODEL_START",
    "SPELLING",
    "SURVEY",
    "EvidenceConfig",
    "FormerConfig",
    "ModelStartConfig",
    "SpellingConfig",
    "SurveyConfig",
]


@dataclass(frozen=True, kw_only=True)
class ModelStartConfig:
    """A run that starts from a trained model, and when it does not believe it."""

    prior_share: float = 0.05
    """Of the prior in the first proposal: it bounds the weights and sends draws to where the model is blind.
    At 1e-9 and without the test below a model of one mode of two lacks log 2 in log Z under "ok"
    (docs/surveys.md)."""

    surprising: float = 0.01
    """A density at the truth below this share of the prior's is a surprise, which a true posterior has in at
    most so large a share of all cases (Markov's inequality)."""

    most_surprises: float = 0.1
    """Share of surprises beyond which the model is not believed: ten times the bound. The model of one mode
    of two is found out by it (docs/surveys.md)."""

    fewest_surprises: int = 3
    """Surprises below which nothing is concluded: three of thirty happen by chance in one model of 300."""

    most_simulations: int = 200
    """Simulations that are looked at, which tell a share of 0.1 to 0.02. Not measured."""


@dataclass(frozen=True, kw_only=True)
class FormerConfig:
    """Samples of a former posterior, as a user passes them."""

    fewest: int = 20
    """Different samples within the priors below which there is nothing to fit. Not measured."""

    most: int = 20_000
    """Samples beyond which a weighted choice is fitted to, as time grows with them. Not measured."""

    compared: int = 200
    same_prior: float = 1e-6
    """Samples at which the former prior density is compared, and the spread of the differences up to which it
    is that of now but for a constant. Not measured."""


@dataclass(frozen=True, kw_only=True)
class EvidenceConfig:
    """The evidence of another sampler's result, where its user sets nothing."""

    n_effective: float = 2500
    """Effective samples: the error of log Z is 0.02 at most."""


@dataclass(frozen=True, kw_only=True)
class SurveyConfig:
    """A survey, where its user sets nothing."""

    n_effective: float = 1000
    """Effective samples a target: the error of log Z is 0.032 at worst."""


@dataclass(frozen=True, kw_only=True)
class SpellingConfig:
    """Slips of the pen in names of keywords: likeness of two names, as difflib counts."""

    close: float = 0.8
    """Likeness from which a name of ours must have been meant: one letter in four or five may be wrong. Not
    measured, but each of the slips in tests/sampler is caught."""

    closer: float = 0.9
    """Likeness from which a name of another sampler is the better guess, where it is closer than ours."""


MODEL_START, SURVEY, SPELLING = ModelStartConfig(), SurveyConfig(), SpellingConfig()
FORMER, EVIDENCE = FormerConfig(), EvidenceConfig()
