"""Forward models: how a likelihood's data come about; one model call serves training and weighting."""

from __future__ import annotations

from .base import ForwardModel
from .recognise import forward_model_for
from .user import UserModel

__all__ = ["ForwardModel", "UserModel", "forward_model_for"]
