"""Adapter for BayesFlow with torch: its basic workflow, with its defaults unless options change them."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["train"]

Array = NDArray[np.float64]

# Rows at a time, which bounds memory.
ROWS_AT_ONCE = 5000


class _Trained:
    """A trained workflow, which scales parameters and data itself."""

    def __init__(self, workflow: Any, about: dict[str, Any]) -> None:
        self.about = about
        self._workflow = workflow

    def log_prob(self, theta: Array, x: Array) -> Array:
        """See `worker.Estimator`."""
        parts = [
            self._workflow.log_prob({"theta": _single(theta[rows]), "x": _single(x[rows])})
            for rows in _blocks(len(theta))
        ]
        return np.concatenate(parts).reshape(len(theta)).astype(float)

    def sample(self, x: Array, n: int) -> Array:
        """See `worker.Estimator`."""
        given = {"x": _single(x)[None]}
        parts = [
            self._workflow.sample(num_samples=rows.stop - rows.start, conditions=given)["theta"][0]
            for rows in _blocks(n)
        ]
        return np.concatenate(parts).astype(float)


def train(task: Any, options: dict[str, Any]) -> _Trained:
    """Train.

    Parameters
    ----------
    task : worker.Task
    options : dict
        ``workflow``: arguments of ``BasicWorkflow``; ``training``: of its ``fit_offline``.
    """
    # keras reads this at its import.
    os.environ["KERAS_BACKEND"] = "torch"
    import bayesflow
    import keras

    keras.utils.set_random_seed(int(task.seed))
    workflow = bayesflow.BasicWorkflow(
        inference_variables="theta", inference_conditions="x", **options.get("workflow", {})
    )
    data = {"theta": _single(task.theta), "x": _single(task.x)}
    history = workflow.fit_offline(data, **{"verbose": 0, **options.get("training", {})}).history
    about = {
        "epochs": len(history["loss"]),
        "own_loss": history["loss"][-1],
        "n_weights": workflow.approximator.count_params(),
    }
    return _Trained(workflow, about)


def _blocks(n: int) -> list[slice]:
    return [slice(first, min(first + ROWS_AT_ONCE, n)) for first in range(0, n, ROWS_AT_ONCE)]


def _single(values: Array) -> NDArray[np.float32]:
    return np.asarray(values, dtype=np.float32)
