"""Settings of every component: frozen dataclasses, validated where they are made; all defaults live here.

A file for each layer. Every number that steers a result is a field, with what was measured in its comment.
"""

from nbi_sampler.core.config.amortised import OOD_THRESHOLD
from nbi_sampler.core.config.building import build, nearest
from nbi_sampler.core.config.evaluation import EVALUATION, EvaluationConfig
from nbi_sampler.core.config.forward import FORWARD, ForwardConfig
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
from nbi_sampler.core.config.priors import PRIORS, PriorConfig
from nbi_sampler.core.config.reliability import RELIABILITY, ReliabilityConfig
from nbi_sampler.core.config.reports import MODEL_FIT, PRIOR_EDGES, ModelFitConfig, PriorEdgeConfig
from nbi_sampler.core.config.run import SnpeConfig
from nbi_sampler.core.config.sampler import (
    MODEL_START,
    SPELLING,
    SURVEY,
    ModelStartConfig,
    SpellingConfig,
    SurveyConfig,
)
from nbi_sampler.core.config.storage import STORAGE, StorageConfig

__all__ = [
    "EVALUATION",
    "FORWARD",
    "MODEL_FIT",
    "MODEL_START",
    "OOD_THRESHOLD",
    "PRIORS",
    "PRIOR_EDGES",
    "RELIABILITY",
    "SPELLING",
    "STORAGE",
    "SURVEY",
    "AttentionConfig",
    "EvaluationConfig",
    "ForwardConfig",
    "GmmConfig",
    "JoinedConfig",
    "MafConfig",
    "MlpConfig",
    "ModelFitConfig",
    "ModelStartConfig",
    "NsfConfig",
    "PcaConfig",
    "PriorConfig",
    "PriorEdgeConfig",
    "ReliabilityConfig",
    "SequenceConfig",
    "SnpeConfig",
    "SpellingConfig",
    "StorageConfig",
    "SurveyConfig",
    "TrainingConfig",
    "build",
    "nearest",
]
