"""Settings of every component: frozen dataclasses, validated where they are made; all defaults live here.

A file for each layer. Every number that steers a result is a field, with what was measured in its comment.
"""

from nbi_sampler.core.config.amortised import OOD_THRESHOLD
from nbi_sampler.core.config.building import build, nearest
from nbi_sampler.core.config.networks import (
    AttentionConfig,
    GmmConfig,
    JoinedConfig,
    MafConfig,
    MlpConfig,
    NsfConfig,
    PcaConfig,
    SequenceConfig,
    TrainingConfig,
)
from nbi_sampler.core.config.reliability import RELIABILITY, ReliabilityConfig
from nbi_sampler.core.config.reports import PRIOR_EDGES, PriorEdgeConfig
from nbi_sampler.core.config.run import SnpeConfig
from nbi_sampler.core.config.sampler import (
    MODEL_START,
    SPELLING,
    SURVEY,
    ModelStartConfig,
    SpellingConfig,
    SurveyConfig,
)

__all__ = [
    "MODEL_START",
    "OOD_THRESHOLD",
    "PRIOR_EDGES",
    "RELIABILITY",
    "SPELLING",
    "SURVEY",
    "AttentionConfig",
    "GmmConfig",
    "JoinedConfig",
    "MafConfig",
    "MlpConfig",
    "ModelStartConfig",
    "NsfConfig",
    "PcaConfig",
    "PriorEdgeConfig",
    "ReliabilityConfig",
    "SequenceConfig",
    "SnpeConfig",
    "SpellingConfig",
    "SurveyConfig",
    "TrainingConfig",
    "build",
    "nearest",
]
