"""Test for a training that ends while its validation loss still falls."""

from __future__ import annotations

from nbi_sampler.core.config import CONVERGENCE
from nbi_sampler.networks.training.fit import TrainingInfo

__all__ = ["unfinished"]


def unfinished(info: TrainingInfo, n_epochs: int) -> str:
    """Describe a training that ended far from converged, with a remedy; the text is empty if it converged.

    Parameters
    ----------
    info : TrainingInfo
    n_epochs : int
        Largest number of epochs. A training with fewer epochs was ended by a loss that no longer fell.

    Examples
    --------
    >>> losses = (3.0, 2.0, 1.0, 0.0, -1.0)
    >>> unfinished(TrainingInfo(-1.0, losses, losses, 50, 0, 1.0), n_epochs=5)[:73]
    'training: the loss of held-out simulations still fell by 1.00 in the last'
    >>> unfinished(TrainingInfo(-1.0, losses, losses, 50, 0, 1.0), n_epochs=20)
    ''
    """
    losses = info.validation
    n_last = max(1, round(CONVERGENCE.last * len(losses)))
    if len(losses) < n_epochs or len(losses) <= n_last:
        return ""
    fall = min(losses[:-n_last]) - min(losses)
    # NaN is no fall either.
    if not fall > CONVERGENCE.most_fall:
        return ""
    return (
        f"training: the loss of held-out simulations still fell by {fall:.2f} in the last {n_last} of "
        f"{len(losses)} epochs, so that networks have not learnt all that they can and draws are wasted; "
        f"pass n_epochs={2 * len(losses)}, or take a quicker featurizer, such as 'mlp' for short series"
    )
