"""Findings of a diagnosis in words: what is wrong, in which direction, and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from nbi_sampler.core.config import DIAGNOSIS
from nbi_sampler.core.types import Array
from nbi_sampler.reports.diagnostics.local import LocalCalibration

if TYPE_CHECKING:
    from nbi_sampler.reports.diagnostics.diagnosis import Diagnosis, ObservationCheck

__all__ = ["calibration_in_words", "local_in_words", "problems_of"]

TRAIN = (
    "train on more simulations or for more epochs, or weight the draws with the likelihood, which calibrates "
    "them"
)
SAMPLER = "fit the observation by bilby.run_sampler(..., model=engine), which starts from the network"


def problems_of(diagnosis: Diagnosis) -> tuple[str, ...]:
    """Findings against the engine or the model, each with a remedy; empty where nothing is alarming."""
    alarming: dict[str, list[str]] = {}
    for test in diagnosis.tests:
        if test.alarming:
            alarming.setdefault(test.panel, []).append(test.name)
    unlike = set(alarming.get("out of distribution", []))
    misfits = set(alarming.get("predictive", []))
    found = [
        *_calibration(diagnosis, alarming.get("calibration", [])),
        *_local(diagnosis, alarming.get("local calibration", [])),
        *(_data(diagnosis, i, unlike, misfits) for i in _numbers(unlike | misfits)),
    ]
    return tuple(found)


def calibration_in_words(ranks: Array) -> str:
    """Shape of calibration ranks, shape (n,): too narrow, too wide, biased, or uneven in another way."""
    n = len(ranks)
    tilt = (ranks.mean() - 0.5) * np.sqrt(12.0 * n)
    # The mean of (2 u - 1)^2 is 1/3, its variance 4/45.
    spread = (np.square(2.0 * ranks - 1.0).mean() - 1.0 / 3.0) * np.sqrt(45.0 * n / 4.0)
    inside = float((np.abs(2.0 * ranks - 1.0) <= 0.68).mean())
    if abs(spread) >= abs(tilt) and abs(spread) > DIAGNOSIS.clear:
        word = "narrow" if spread > 0 else "wide"
        return f"posteriors are too {word}: {inside:.0%} of the truths lie in central intervals of 68 %"
    if abs(tilt) > DIAGNOSIS.clear:
        side = "above" if tilt > 0 else "below"
        share = float((ranks > 0.5).mean()) if tilt > 0 else float((ranks < 0.5).mean())
        return f"posteriors are biased: {share:.0%} of the truths lie {side} the median"
    return "the shape of the posteriors is wrong"


def local_in_words(local: LocalCalibration, names: tuple[str, ...]) -> str:
    """The clearest error among the neighbours of an observation."""
    shifts = np.abs(local.bias) / local.bias_err
    scales = np.abs(local.width - 1.0) / np.maximum(local.width_err, 1e-12)
    if max(shifts.max(), scales.max()) <= DIAGNOSIS.clear:
        return "their shape is wrong"
    if shifts.max() >= scales.max():
        i = int(shifts.argmax())
        side = "above" if local.bias[i] > 0 else "below"
        return (
            f"true values of {names[i]} lie {abs(local.bias[i]):.2f} +- {local.bias_err[i]:.2f} standard "
            f"deviations {side} the posterior mean"
        )
    i = int(scales.argmax())
    word = "narrow" if local.width[i] > 1.0 else "wide"
    return (
        f"posteriors of {names[i]} are too {word}: true values scatter {local.width[i]:.2f} +- "
        f"{local.width_err[i]:.2f} times as much as these say"
    )


def _numbers(observations: set[str]) -> list[int]:
    return sorted(int(name.removeprefix("observation ")) for name in observations)


def _calibration(diagnosis: Diagnosis, alarming: list[str]) -> Iterator[str]:
    parameters = dict(zip(diagnosis.names, diagnosis.assessment.calibration.T, strict=True))
    said = [f"{name}: {calibration_in_words(parameters[name])}" for name in alarming if name in parameters]
    joint = [name for name in alarming if name not in parameters]
    if joint and not said:
        said = [f"the joint posteriors are wrong ({', '.join(joint)}), though each parameter is calibrated"]
    if said:
        yield f"The network is not calibrated. {'; '.join(said)}. What to do: {TRAIN}."


def _local(diagnosis: Diagnosis, alarming: list[str]) -> Iterator[str]:
    for i in _numbers(set(alarming)):
        local = diagnosis.checks[i].local
        yield (
            f"The network is wrong near observation {i}: among simulations with similar posteriors "
            f"{local_in_words(local, diagnosis.names)}. What to do: weight the draws, or {SAMPLER}."
        )


def _data(diagnosis: Diagnosis, i: int, unlike: set[str], misfits: set[str]) -> str:
    """Say what is wrong with an observation: unlike the simulations, badly fitted, or both."""
    name = f"observation {i}"
    check = diagnosis.checks[i] if i < len(diagnosis.checks) else None
    p = diagnosis.ood_p_values[i]
    rare = f"{name} is unlike the simulations (p = {p:.2g})"
    if name not in misfits:
        known = check is not None and check.fit is not None and check.weighted
        rest = (
            "yet the weighted posterior fits it: a rare target of this model. What to do: trust the weights "
            f"if there are enough effective samples, or {SAMPLER}"
            if known
            else "so the network may say anything about it. What to do: look at data and noise, widen priors "
            f"or noise of the simulations, or {SAMPLER}"
        )
        return f"Data out of distribution: {rare}, {rest}."
    assert check is not None and check.fit is not None
    left = _left_over(check)
    if not check.weighted:
        told = f"Data out of distribution: {rare}; the" if name in unlike else "The"
        return (
            f"{told} network's posterior of {name} does not fit it ({left}), and too few draws carry weight "
            f"to tell whether network or model is wrong. What to do: {SAMPLER}, and look at its predictive "
            "check."
        )
    beside = f"{rare}, and" if name in unlike else f"{name} looks like the simulations, but"
    return (
        f"The model is misspecified: {beside} the weighted posterior does not fit it: {left}. What to do: "
        "revise the model or the size of its noise; more training cannot help."
    )


def _left_over(check: ObservationCheck) -> str:
    """The kind of misfit that the discrepancies tell."""
    fit = check.fit
    assert fit is not None
    words = {
        "chi_squared": f"chi-squared is {fit.chi_squared:,.4g} for {fit.n_data:,} data points",
        "largest_residual": "there are outliers",
        "neighbouring_residuals": f"neighbouring residuals are correlated ({fit.correlation:.2f})",
    }
    return ", ".join(words.get(name, name) for name in fit.against)
