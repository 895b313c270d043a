"""Settings of every component: frozen dataclasses, validated where they are made; all defaults live here.

A file for each layer. Every number that steers a result is a field, with what was measured in its comment.
"""

from nbi_sampler.core.config.amortised import (
    DATA_FORMAT,
    INFERENCE,
    NOISE_PROBE,
    OOD_THRESHOLD,
    OUT_OF_DISTRIBUTION,
    TRAINING_SET,
    DataFormatConfig,
    InferenceConfig,
    NoiseProbeConfig,
    OutOfDistributionConfig,
    TrainingSetConfig,
)
from nbi_sampler.core.config.building import build, nearest, require_counts
from nbi_sampler.core.config.evaluation import EVALUATION, EvaluationConfig
from nbi_sampler.core.config.forward import FORWARD, ForwardConfig
from nbi_sampler.core.config.networks import (
    FEATURES,
    FIT,
    AttentionConfig,
    FeaturesConfig,
    FitConfig,
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
    "DATA_FORMAT",
    "EVALUATION",
    "FEATURES",
    "FIT",
    "FORWARD",
    "INFERENCE",
    "MODEL_FIT",
    "MODEL_START",
    "NOISE_PROBE",
    "OOD_THRESHOLD",
    "OUT_OF_DISTRIBUTION",
    "PRIORS",
    "PRIOR_EDGES",
    "RELIABILITY",
    "SPELLING",
    "STORAGE",
    "SURVEY",
    "TRAINING_SET",
    "AttentionConfig",
    "DataFormatConfig",
    "EvaluationConfig",
    "FeaturesConfig",
    "FitConfig",
    "ForwardConfig",
    "GmmConfig",
    "InferenceConfig",
    "JoinedConfig",
    "MafConfig",
    "MlpConfig",
    "ModelFitConfig",
    "ModelStartConfig",
    "NoiseProbeConfig",
    "NsfConfig",
    "OutOfDistributionConfig",
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
    "TrainingSetConfig",
    "build",
    "nearest",
    "require_counts",
]
