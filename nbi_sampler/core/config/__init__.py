"""Settings of every component, with all defaults: frozen dataclasses that validate their fields.

Each layer has a file, whose names are offered here too. Every number that steers a result is a field, and its
comment says what was measured.
"""

from nbi_sampler.core.config import (
    algorithm,
    amortised,
    approximation,
    building,
    evaluation,
    forward,
    importance,
    network_rules,
    networks,
    priors,
    proposals,
    reliability,
    reports,
    run,
    sampler,
    searches,
    storage,
)
from nbi_sampler.core.config.algorithm import *
from nbi_sampler.core.config.amortised import *
from nbi_sampler.core.config.approximation import *
from nbi_sampler.core.config.building import *
from nbi_sampler.core.config.evaluation import *
from nbi_sampler.core.config.forward import *
from nbi_sampler.core.config.importance import *
from nbi_sampler.core.config.network_rules import *
from nbi_sampler.core.config.networks import *
from nbi_sampler.core.config.priors import *
from nbi_sampler.core.config.proposals import *
from nbi_sampler.core.config.reliability import *
from nbi_sampler.core.config.reports import *
from nbi_sampler.core.config.run import *
from nbi_sampler.core.config.sampler import *
from nbi_sampler.core.config.searches import *
from nbi_sampler.core.config.storage import *

LAYERS = (
    *(algorithm, amortised, approximation, building, evaluation, forward, importance, network_rules),
    *(networks, priors, proposals, reliability, reports, run, sampler, searches, storage),
)
__all__ = [name for layer in LAYERS for name in layer.__all__]
