"""Targets of a survey in other processes: each process gets the plan once, then only targets."""

from __future__ import annotations

import hashlib
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any

import cloudpickle

from nbi_sampler.evaluation.dispatch import Dispatcher
from nbi_sampler.evaluation.pools import Pool
from nbi_sampler.evaluation.worker_process import turn
from nbi_sampler.sampler.survey.target import Plan, Target

__all__ = ["PackedTarget", "TargetDispatcher", "infer_in_worker"]

# The plan of the last survey, by its digest; a process of a cluster may serve several.
_plans: dict[str, Plan] = {}


@dataclass
class PackedTarget:
    """A target and its pickle, which goes to a process.

    Attributes
    ----------
    target : Target
    pickled : bytes
    is_returned : bool
        True if a process without the plan has returned it.
    n_plans : int
        Number of plans that had been sent when the target was sent last.
    """

    target: Target
    pickled: bytes
    is_returned: bool = False
    n_plans: int = 0


class TargetDispatcher(Dispatcher[PackedTarget]):
    """Infer targets in a pool.

    The plan contains the trained networks, which are thousands of times larger than a light curve. It goes
    with the first targets, and with one that a process without the plan has returned. Targets that come back
    beside it, because they were on the way already, go again without the plan.

    Parameters
    ----------
    pool : Pool
        A started pool.
    plan : Plan
    """

    def __init__(self, pool: Pool, plan: Plan) -> None:
        super().__init__(pool, "survey", self._sent)
        self._plan = cloudpickle.dumps(plan)
        self._digest = hashlib.sha256(self._plan).hexdigest()
        self._n_sent = self._n_plans = 0

    def _sent(self, packed: PackedTarget) -> Future[Any]:
        is_lacking = packed.is_returned and packed.n_plans == self._n_plans
        with_plan = is_lacking or self._n_sent < self.pool.n_workers
        self._n_sent += 1
        self._n_plans += with_plan
        packed.n_plans = self._n_plans
        return self.pool.call(
            infer_in_worker, self._digest, self._plan if with_plan else None, packed.pickled
        )

    def _unanswered(self, item: PackedTarget, result: Any) -> PackedTarget | None:
        return replace(item, is_returned=True) if result is None else None


def infer_in_worker(digest: str, plan: bytes | None, target: bytes) -> dict[str, Any] | None:
    """Run one target and return its row; None if the process has no plan with that digest and got none.

    Parameters
    ----------
    digest : str
        Digest of the pickled plan.
    plan : bytes or None
        The pickled plan.
    target : bytes
        The pickled target.
    """
    with turn:
        if digest not in _plans:
            if plan is None:
                return None
            _plans.clear()
            _plans[digest] = cloudpickle.loads(plan)
        return _plans[digest].row(cloudpickle.loads(target))
