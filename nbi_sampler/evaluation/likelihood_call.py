"""The function whose evidence is wanted, as one callable, whatever the version of bilby."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bilby.core.likelihood import Likelihood

__all__ = ["likelihood_function", "quiet_about_state"]


def likelihood_function(likelihood: Likelihood, use_ratio: bool) -> Callable[[dict[str, float]], float]:
    """Log-likelihood, or log-likelihood ratio, as a function of a dictionary of parameters.

    How it is called is chosen once, by the signature: methods that take ``parameters`` get them; those of
    older likelihoods (all of bilby 2.7) read ``likelihood.parameters``, which is updated first.

    Parameters
    ----------
    likelihood : bilby.core.likelihood.Likelihood
    use_ratio : bool

    Returns
    -------
    callable
        ``dict of parameters, sampled and fixed -> float``.

    Notes
    -----
    The ratio of bilby 2.8's base class takes ``parameters`` even where ``log_likelihood`` does not, and then
    loses them; so both have to take them.
    """
    method = likelihood.log_likelihood_ratio if use_ratio else likelihood.log_likelihood
    if _takes_parameters(method) and _takes_parameters(likelihood.log_likelihood):
        return lambda parameters: method(parameters=parameters)

    def from_state(parameters: dict[str, float]) -> float:
        with quiet_about_state():
            likelihood.parameters.update(parameters)
            return method()

    return from_state


def _takes_parameters(method: Callable[..., float]) -> bool:
    return "parameters" in inspect.signature(method).parameters


@contextmanager
def quiet_about_state() -> Iterator[None]:
    """Silence bilby's own word on ``likelihood.parameters``, which it has given when the class was made."""
    with warnings.catch_warnings():
        for category in (FutureWarning, DeprecationWarning):
            warnings.filterwarnings("ignore", message="(?s).*bilby/parameters", category=category)
        yield
