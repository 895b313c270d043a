"""Adapter for sbi: NPE with the NLL loss, one round, and sbi's defaults unless options change them.

The density is that of the network, without sbi's correction for draws outside of the prior, because
importance sampling needs the density of all draws.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["train"]

Array = NDArray[np.float64]


class _Network:
    """A trained density estimator of sbi, which scales parameters and data itself."""

    def __init__(self, network: Any, about: dict[str, Any]) -> None:
        self.about = about
        self._network = network

    def log_prob(self, theta: Array, x: Array) -> Array:
        """See `worker.Estimator`."""
        import torch

        with torch.no_grad():
            # sbi's axes are draws, then data.
            return self._network.log_prob(_tensor(theta)[None], _tensor(x))[0].double().numpy()

    def sample(self, x: Array, n: int) -> Array:
        """See `worker.Estimator`."""
        import torch

        with torch.no_grad():
            return self._network.sample((n,), _tensor(x)[None])[:, 0].double().numpy()


def train(task: Any, options: dict[str, Any]) -> _Network:
    """Train.

    Parameters
    ----------
    task : worker.Task
    options : dict
        ``density_estimator``: "maf", "nsf" or another name of sbi's. ``embedding``: "fc" for its fully
        connected network before the flow, of its default size; none without. ``noise_draws``: how many
        times each simulation is used, with fresh noise. ``network``: further arguments of
        ``posterior_nn``; ``training``: of ``NPE.train``.
    """
    import torch
    from sbi.inference import NPE
    from sbi.neural_nets import posterior_nn
    from sbi.neural_nets.embedding_nets import FCEmbedding

    torch.manual_seed(int(task.seed))
    name = options.get("density_estimator", "maf")
    network = dict(options.get("network", {}))
    if options.get("embedding") == "fc":
        network["embedding_net"] = FCEmbedding(task.x.shape[1])
    theta, x = _data(task, int(options.get("noise_draws", 1)))
    # The prior only serves rounds and the truncation of draws, which are not used here.
    inference = NPE(density_estimator=posterior_nn(name, **network), show_progress_bars=False)
    trained = inference.append_simulations(_tensor(theta), _tensor(x)).train(**options.get("training", {}))
    summary = inference.summary
    about = {
        "epochs": summary["epochs_trained"][-1],
        "own_validation_loss": summary["best_validation_loss"][-1],
        "n_weights": sum(part.numel() for part in trained.parameters()),
    }
    return _Network(trained.eval(), about)


def _data(task: Any, noise_draws: int) -> tuple[Array, Array]:
    """Repeat simulations, each with new Gaussian noise, or return them unchanged."""
    if noise_draws == 1 or task.sigma is None:
        return task.theta, task.x
    rng = np.random.default_rng(int(task.seed))
    again = [
        task.predictions + task.sigma * rng.normal(size=task.predictions.shape)
        for _ in range(noise_draws - 1)
    ]
    return np.tile(task.theta, (noise_draws, 1)), np.concatenate([task.x, *again])


def _tensor(values: Array) -> Any:
    import torch

    return torch.as_tensor(np.array(values), dtype=torch.float32)
