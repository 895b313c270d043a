"""Helpers of the tests of checkpoints, which look for one and write one."""

from __future__ import annotations

import logging
from contextlib import nullcontext

from nbi_sampler.storage.checkpoint import Checkpoint, CheckpointWriter
from nbi_sampler.storage.resume import find_checkpoint

LOG = logging.getLogger("checkpoints")
ASKED = {"n_sims": 300}


def find(path, problem, asked=ASKED, seed=5):
    return find_checkpoint(path, asked, seed, problem, LOG)


def writer(write, state, interval=60.0, interrupted=lambda: None, held=nullcontext, seconds=0.0):
    start = Checkpoint(state, 5, seconds)
    return CheckpointWriter(write, start, interval, interrupted, held, LOG)
