"""The warning of an engine that weights are bad."""

from __future__ import annotations

from collections.abc import Sequence

from nbi_sampler.amortised.inference import Inference
from nbi_sampler.core.guarded import warn_user
from nbi_sampler.importance.reliability import Status

__all__ = ["UnreliableWeightsWarning", "warn_of_weights"]

# Below this efficiency few distinct samples are the fault of the training, not of few draws.
LEAST_EFFICIENCY = 0.1


class UnreliableWeightsWarning(UserWarning):
    """Weighted samples do not represent the posterior; `NBI.infer` tells more."""


def warn_of_weights(found: Sequence[Inference]) -> None:
    """Warn on behalf of the caller's caller where weights are bad, as the status of an `Inference` says.

    Parameters
    ----------
    found : sequence of Inference
    """
    bad = [
        each
        for each in found
        if each.status != Status.OK
        and (each.status != Status.FEW_DISTINCT_SAMPLES or each.efficiency < LEAST_EFFICIENCY)
    ]
    if not bad:
        return
    worst = min(bad, key=lambda each: each.ess)
    warn_user(
        f"weights: {len(bad)} of {len(found)} targets have bad ones; the worst: {worst.status}, "
        f"{worst.ess:.0f} effective samples of {len(worst.samples)}, k_hat {worst.k_hat:.2f}: "
        f"{worst.message}. `infer` tells more of every target",
        UnreliableWeightsWarning,
    )
