"""Forward models, which describe how the data of a likelihood arise; one model call trains and weights."""

from __future__ import annotations

from nbi_sampler.forward.base import ForwardModel
from nbi_sampler.forward.recognise import forward_model_for
from nbi_sampler.forward.user import UserModel

__all__ = ["ForwardModel", "UserModel", "forward_model_for"]
