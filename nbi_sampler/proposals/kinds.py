"""The classes that proposals are made of: what a file may ask for. Named by checkpoints and saved engines."""

from __future__ import annotations

from nbi_sampler.priors.discrete import DiscreteParts
from nbi_sampler.proposals.affine import AffineMap
from nbi_sampler.proposals.by_state import IndependentStates, StateMixture, SubspaceProposal
from nbi_sampler.proposals.kernels import LatentKernels, UnitCubeKernels
from nbi_sampler.proposals.proposal import FlowProposal, MixtureProposal, PriorProposal
from nbi_sampler.proposals.student_mixture import StudentMixture

__all__ = ["PROPOSAL_KINDS"]

PROPOSAL_KINDS: tuple[type, ...] = (
    *(MixtureProposal, PriorProposal, FlowProposal, LatentKernels, UnitCubeKernels),
    *(StudentMixture, AffineMap, StateMixture, IndependentStates, SubspaceProposal, DiscreteParts),
)
