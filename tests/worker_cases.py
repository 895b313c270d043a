"""Likelihoods for worker processes, which import them by name, and the evaluator that they are tried with."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import threading
import time

import bilby
import numpy as np
from bilby.core.likelihood import GaussianLikelihood
from bilby.core.prior import PriorDict, Uniform

from nbi_sampler.evaluation.calls import likelihood_function
from nbi_sampler.evaluation.evaluator import Evaluator
from nbi_sampler.evaluation.pools import opened_pool
from nbi_sampler.forward import forward_model_for
from nbi_sampler.priors.space import ParameterSpace

X = np.linspace(0.0, 1.0, 30)


def in_worker():
    """Return whether this is a process of a pool."""
    return multiprocessing.parent_process() is not None


def space():
    return ParameterSpace(priors())


def priors():
    return PriorDict({"m": Uniform(0.0, 3.0, "m"), "c": Uniform(-1.0, 1.0, "c"), "k": 2.0})


def draws(n):
    return np.random.default_rng(5).normal(size=(n, 2))


def value(parameters):
    return -parameters["k"] * math.sin(parameters["m"]) ** 2 - parameters["c"] ** 2


def slow(parameters, seconds=1e-3):
    time.sleep(seconds)
    return value(parameters)


def busy(parameters, seconds=1e-3):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
    return value(parameters)


def scalar_line(x, m, c):
    """A model that does not broadcast, and takes long enough to be sent away."""
    time.sleep(2e-4)
    return math.exp(-m) * x + math.sin(c)


def vector_line(x, m, c):
    time.sleep(0.01)
    return np.exp(-m) * x + np.sin(c)


def failing(parameters):
    time.sleep(1e-3)
    if parameters["m"] > 2.9:
        raise ZeroDivisionError("no orbit")
    return value(parameters)


class Stubborn(Exception):
    """Cannot be made again from its message."""

    def __init__(self, code, where):
        super().__init__(f"code {code} at {where}")


def failing_stubbornly(parameters):
    time.sleep(1e-3)
    if parameters["m"] > 2.9:
        raise Stubborn(3, "periastron")
    return value(parameters)


def dying(parameters):
    """Kills the process at one corner of the prior, though never the main one."""
    time.sleep(1e-3)
    if parameters["m"] > 2.9 and in_worker():
        os.kill(os.getpid(), signal.SIGKILL)
    return value(parameters)


class Once:
    """Does something terrible in a worker, the first time only, which a file remembers."""

    def __init__(self, path, terrible):
        self.path = path
        self.terrible = terrible

    def __call__(self, parameters):
        time.sleep(1e-3)
        if parameters["m"] > 2.5 and in_worker():
            try:
                os.close(os.open(self.path, os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                pass
            else:
                self.terrible()
        return value(parameters)


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def hang():
    time.sleep(3600.0)


def hanging(parameters):
    if parameters["m"] > 2.9 and in_worker():
        hang()
    return slow(parameters)


class WithLock:
    """Cannot be pickled, and says nothing about it."""

    def __init__(self):
        self.inner = {"lock": threading.Lock()}

    def __call__(self, parameters):
        return slow(parameters)


def evaluator(function, pool=None, vectorized="auto"):
    """Evaluator of a log-likelihood."""
    rng = np.random.default_rng(1)
    return Evaluator(space(), function, None, rng, vectorized=vectorized, pool=pool)


def model_evaluator(model, pool=None, vectorized="auto"):
    """Evaluator of a Gaussian likelihood about a model."""
    likelihood = GaussianLikelihood(X, 0.5 * X, model, sigma=0.2)
    function, forward = likelihood_function(likelihood, False), forward_model_for(likelihood)
    rng = np.random.default_rng(1)
    return Evaluator(space(), function, forward, rng, vectorized=vectorized, pool=pool)


class Logged:
    """Writes a line for every call."""

    def __init__(self, path):
        self.path = path

    def __call__(self, parameters):
        with open(self.path, "a") as file:
            file.write(f"{parameters['m']!r}\n")
        return slow(parameters)


class Heavy:
    """A likelihood with much data."""

    def __init__(self, n):
        self.data = np.random.default_rng(0).normal(size=n)

    def __call__(self, parameters):
        return slow(parameters)


def _not_here():
    raise ImportError("not here")


class Unreadable:
    """Can be pickled but not read again."""

    def __reduce__(self):
        return _not_here, ()

    def __call__(self, parameters):
        return slow(parameters)


def process_state():
    """Properties of a worker."""
    import torch

    handlers = {name: signal.getsignal(getattr(signal, name)).name for name in ("SIGINT", "SIGTERM")}
    return {"threads": torch.get_num_threads(), **handlers}


class SlowLikelihood(bilby.Likelihood):
    """Takes a millisecond, and is not recognised."""

    def __init__(self):
        super().__init__()

    def log_likelihood(self, parameters=None):
        return 4.0 * slow(parameters)


def fork_server():
    """The context of a fork server that has imported what workers need, so that they start at once."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["nbi_sampler.sampler.nbi"])
    return context


def open_pool_and_wait(report, method):
    """Start two workers, write down their process ids, and wait to be killed."""
    multiprocessing.set_start_method(method, force=True)
    if method == "forkserver":
        from multiprocessing.forkserver import _forkserver

        # Not the fork server of the process that this one may be forked from.
        _forkserver.__init__()
        fork_server()
    with opened_pool(2, None) as pool:
        evaluator(slow, pool)(draws(30))
        pids = map(str, pool._executor._processes)
        partial_report = report.with_suffix(".part")
        partial_report.write_text(" ".join(pids))
        partial_report.replace(report)
        time.sleep(60.0)
