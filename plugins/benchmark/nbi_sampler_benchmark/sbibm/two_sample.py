"""The classifier two-sample test, which measures how well draws of two distributions can be distinguished."""

from __future__ import annotations

import numpy as np
from sklearn.model_selection import KFold, cross_val_score
from sklearn.neural_network import MLPClassifier

__all__ = ["c2st"]

N_FOLDS = 5
UNITS_PER_DIMENSION = 10


def c2st(reference: np.ndarray, draws: np.ndarray, *, early_stopping: bool = False, seed: int = 1) -> float:
    """Share of draws that a network assigns to the right one of two samples, by cross-validation.

    The network has two hidden layers of ten units for each dimension, and sees both samples in single
    precision, standardised by mean and standard deviation of the first.

    Parameters
    ----------
    reference, draws : ndarray, shape (n, n_dim)
        Both samples have the same size; otherwise a guess would be right in more than half of all cases.
    early_stopping : bool
        Stop training when the classification of a held-out tenth of the draws no longer improves. Without it,
        as in sbibm, training continues until the loss no longer falls. In ten dimensions the network then
        knows every draw by heart.
    seed : int
        Seed of the network and the folds.

    Returns
    -------
    float
        0.5 if the samples cannot be distinguished, 1 if they always can.

    Raises
    ------
    ValueError
        If the shapes differ.

    References
    ----------
    Lopez-Paz & Oquab 2017, arXiv:1610.06545; Lueckmann et al. 2021, arXiv:2101.04653, appendix M
    """
    if reference.shape != draws.shape:
        raise ValueError(
            f"draws: expected as many as of the reference, shape {reference.shape}, got {draws.shape}; "
            "leave some out"
        )
    mean, deviation = reference.mean(axis=0), reference.std(axis=0, ddof=1)
    both = ((np.concatenate([reference, draws]) - mean) / deviation).astype(np.float32)
    labels = np.repeat([0, 1], len(reference))
    n_units = UNITS_PER_DIMENSION * reference.shape[1]
    network = MLPClassifier(
        (n_units, n_units), max_iter=10_000, random_state=seed, early_stopping=early_stopping
    )
    folds = KFold(N_FOLDS, shuffle=True, random_state=seed)
    return float(cross_val_score(network, both, labels, cv=folds, scoring="accuracy").mean())
