"""Adapter for nbi, the paper's package, with networks and settings of its demonstration of the sine curve.

The package reads simulations from files. It standardises parameters without a correction of its densities,
which are converted to the given coordinates here.

References
----------
Zhang, Bloom & Hernitschek (2023), arXiv:2312.03824; nbi 0.4.1, demo-sine-v041.ipynb.
"""

from __future__ import annotations

import copy
import gc
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["train"]

Array = NDArray[np.float64]

FLOW = {"flow_hidden": 64, "num_blocks": 5}
FEATURIZER = {
    "type": "resnet-gru",
    "norm": "weight_norm",
    "dim_in": 1,
    "dim_out": 64,
    "dim_conv_max": 256,
    "depth": 3,
}
# One process to load data, because all other packages have one processor; its default is eight.
TRAINING = {"n_epochs": 100, "batch_size": 64, "lr": 1e-3, "early_stop_patience": 10, "workers": 1}


class _Engine:
    """A trained engine of nbi."""

    def __init__(self, engine: Any, about: dict[str, Any]) -> None:
        self.about = about
        self._engine = engine
        # Mean and deviation of its standardised parameters.
        self._log_scale = float(np.log(engine.y_std).sum())

    def log_prob(self, theta: Array, x: Array) -> Array:
        """See `worker.Estimator`."""
        import torch

        engine = self._engine
        data = torch.as_tensor(engine.scale_x(np.array(x)[:, None]), dtype=torch.float32)
        parameters = torch.as_tensor(engine.scale_y(np.array(theta)), dtype=torch.float32)
        with torch.no_grad():
            log_q = -engine.get_network()(data, parameters)[:, 0]
        return log_q.double().numpy() - self._log_scale

    def sample(self, x: Array, n: int) -> Array:
        """See `worker.Estimator`."""
        return np.asarray(self._engine.sample(np.array(x), n=n), dtype=float)


class _Noise:
    """Add noise to the contents of a file: a prediction with its standard deviations, or noisy data."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def __call__(self, content: Array, theta: Array) -> tuple[Array, Array]:
        """Data and parameters in the format of the networks."""
        if content.ndim == 1:
            return content, theta
        prediction, sigma = content
        return prediction + sigma * self._rng.normal(size=prediction.shape), theta


def train(task: Any, options: dict[str, Any]) -> _Engine:
    """Train; the package always seeds its networks with zero.

    Parameters
    ----------
    task : worker.Task
    options : dict
        ``flow``, ``featurizer`` and ``training``: changes of the settings above.
    """
    import nbi

    training = {**TRAINING, **options.get("training", {})}
    with tempfile.TemporaryDirectory() as folder:
        paths = _written(task, Path(folder))
        engine = nbi.NBI(
            {**FLOW, "n_dims": task.theta.shape[1], **options.get("flow", {})},
            copy.deepcopy({**FEATURIZER, **options.get("featurizer", {})}),
            path=str(Path(folder) / "engine"),
        )
        engine.fit(
            x=paths, y=task.theta, noise=_Noise(int(task.seed)), n_sims=len(paths), plot=False, **training
        )
        # The processes that load data end with their loaders. Their time is known only then.
        engine.train_loader = engine.valid_loader = None
        gc.collect()
    engine.network.eval()
    about = {
        "epochs": len(engine.vloss),
        "own_validation_loss": float(engine.vloss[-1]) + float(np.log(engine.y_std).sum()),
        "n_weights": sum(part.numel() for part in engine.network.parameters()),
    }
    return _Engine(engine, about)


def _written(task: Any, folder: Path) -> NDArray[np.str_]:
    """Write a file for each simulation, and return their paths."""
    paths = [str(folder / f"{number}.npy") for number in range(len(task.x))]
    sigma = None if task.sigma is None else np.broadcast_to(task.sigma, task.predictions.shape)
    for number, path in enumerate(paths):
        np.save(path, task.x[number] if sigma is None else [task.predictions[number], sigma[number]])
    return np.array(paths)
