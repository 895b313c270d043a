"""A likelihood that counts its calls and may fail at one of them."""

from __future__ import annotations

from bilby.core.likelihood import Likelihood


class Counted(Likelihood):
    """A Gaussian in two parameters that counts its calls, and may do something at one of them."""

    def __init__(self, at=None, then=None):
        super().__init__()
        self.n_calls, self._at, self._then = 0, at, then

    def log_likelihood(self, parameters):
        self.n_calls += 1
        if self.n_calls == self._at:
            return self._then()
        return -0.5 * (parameters["a"] ** 2 + parameters["b"] ** 2) / 0.3**2


def raise_error():
    raise ZeroDivisionError("no such model")
