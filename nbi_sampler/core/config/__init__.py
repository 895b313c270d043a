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
    networks,
    priors,
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
from nbi_sampler.core.config.networks import *
from nbi_sampler.core.config.priors import *
from nbi_sampler.core.config.reliability import *
from nbi_sampler.core.config.reports import *
from nbi_sampler.core.config.run import *
from nbi_sampler.core.config.sampler import *
from nbi_sampler.core.config.searches import *
from nbi_sampler.core.config.storage import *

__all__ = [
    *algorithm.__all__,
    *amortised.__all__,
    *approximation.__all__,
    *building.__all__,
    *evaluation.__all__,
    *forward.__all__,
    *importance.__all__,
    *networks.__all__,
    *priors.__all__,
    *reliability.__all__,
    *reports.__all__,
    *run.__all__,
    *sampler.__all__,
    *searches.__all__,
    *storage.__all__,
]
