"""Find the forward model of a likelihood, from a plugin or from this package.

Plugins are consulted first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bilby.core import likelihood as bilby_likelihood

from nbi_sampler.forward.base import ForwardModel
from nbi_sampler.forward.compat import behaves_like, value_of_class
from nbi_sampler.forward.counts import MultinomialModel, PoissonModel
from nbi_sampler.forward.exponential import ExponentialModel
from nbi_sampler.forward.gaussian import GaussianModel
from nbi_sampler.forward.joint import JointModel
from nbi_sampler.forward.multivariate_gaussian import BimodalGaussianModel, CovariantGaussianModel
from nbi_sampler.forward.student_t import StudentTModel
from nbi_sampler.plugins import installed

__all__ = ["forward_model_for"]

_ADAPTERS: tuple[tuple[type, Callable[[Any], ForwardModel]], ...] = (
    (bilby_likelihood.GaussianLikelihood, GaussianModel),
    (bilby_likelihood.PoissonLikelihood, PoissonModel),
    (bilby_likelihood.ExponentialLikelihood, ExponentialModel),
    (bilby_likelihood.StudentTLikelihood, StudentTModel),
    (bilby_likelihood.Multinomial, MultinomialModel),
    (bilby_likelihood.AnalyticalMultidimensionalCovariantGaussian, CovariantGaussianModel),
    (bilby_likelihood.AnalyticalMultidimensionalBimodalCovariantGaussian, BimodalGaussianModel),
)


def forward_model_for(likelihood: object) -> ForwardModel | None:
    """Forward model of a likelihood that a plugin or the package recognises.

    Parameters
    ----------
    likelihood : object
        Any likelihood.

    Returns
    -------
    ForwardModel or None
        None if the likelihood is not recognised. The package does not recognise classes other than bilby's,
        classes with overridden methods or properties, and joint likelihoods with such a part.

    Raises
    ------
    ValueError
        If the likelihood is recognised and its data cannot be used, for example because some are missing.

    Examples
    --------
    >>> import numpy as np
    >>> from bilby.core.likelihood import GaussianLikelihood
    >>> x = np.linspace(0, 1, 50)
    >>> forward_model_for(GaussianLikelihood(x, 2 * x, lambda x, m: m * x, sigma=0.1))
    GaussianModel(Gaussian, known sigma; 1 x 50 data points)
    """
    found = installed().first("forward_model", ForwardModel, likelihood=likelihood)  # type: ignore[type-abstract]
    if found is None:
        return _own_model(likelihood)
    plugin, model = found
    model.plugins |= {plugin}
    return model


def _own_model(likelihood: object) -> ForwardModel | None:
    """Likelihoods of bilby itself, and joint likelihoods of recognised parts."""
    if behaves_like(likelihood, bilby_likelihood.JointLikelihood):
        parts = [forward_model_for(part) for part in likelihood.likelihoods]  # type: ignore[attr-defined]
        known = [part for part in parts if part is not None]
        return JointModel(known) if known and len(known) == len(parts) else None
    adapter = value_of_class(likelihood, _ADAPTERS)
    return None if adapter is None else adapter(likelihood)
