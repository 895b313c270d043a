"""Training steps per second on a GPU, single and captured, and on the CPU: `... nbi_sampler_benchmark gpu`.

Whole fits are timed, whose epochs end with a short validation. The first epoch, which initialises everything,
is left out.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from nbi_sampler.core.config import FIT, TrainingConfig
from nbi_sampler.core.randomness import seeded_modules
from nbi_sampler.forward import UserModel
from nbi_sampler.networks.featurizers import featurizer_factory
from nbi_sampler.networks.flows import flow_factory
from nbi_sampler.networks.training.cuda_graph import CudaGraph, Graph
from nbi_sampler.networks.training.fit import fit
from nbi_sampler.networks.training.noisy_data import NoisyData
from nbi_sampler.networks.training.objectives import NllObjective
from nbi_sampler_benchmark.arguments import names

__all__ = ["Speed", "add_arguments", "measured_speeds", "speeds_table"]

N_HELD_OUT = 256
N_EPOCHS = 4
# Steps of an epoch on a CPU, on which one step of the largest networks takes seconds.
MOST_ON_CPU = 5
# Simulations in memory to count operations, enough for the principal components.
N_COUNTED = 3000
SIDE_OF_PRODUCT = {"cuda": 8192, "cpu": 1024}


class Speed(NamedTuple):
    """Speed of one network with one way of training.

    Attributes
    ----------
    featurizer, device, steps : str
    batch_size : int
    steps_per_second : float
    operations : float
        Floating-point operations in a step: matrix products and convolutions, forward and backward.
    peak : float
        Operations per second of a large matrix product on that device.
    """

    featurizer: str
    device: str
    steps: str
    batch_size: int
    steps_per_second: float
    operations: float
    peak: float

    @property
    def share_of_peak(self) -> float:
        """Share of the device's peak that a training reaches."""
        return self.operations * self.steps_per_second / self.peak


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("--featurizers", type=names, default=["resnet-gru", "pca"], help="names, with commas")
    parser.add_argument("--n-sims", type=int, default=100_000)
    parser.add_argument("--length", type=int, default=2000, help="length of the data of a simulation")
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--steps", type=int, default=100, help="steps of an epoch on the GPU")


def measured_speeds(given: argparse.Namespace) -> Iterator[Speed]:
    """Measure every featurizer on the GPU, single and captured, if there is one, and on the CPU."""
    devices = [torch.device("cpu")] + [torch.device("cuda", 0)] * torch.cuda.is_available()
    peaks = {device: _peak(device) for device in devices}
    z, predictions, model = _simulations(given.n_sims, given.length)
    for name in given.featurizers:
        few = slice(max(N_COUNTED, 2 * given.batch_size))
        counted = _objective(name, z[few], predictions[few], model, given.batch_size, torch.device("cpu"))
        operations = _operations_per_row(counted)
        for device in devices:
            on_gpu = device.type == "cuda"
            for graph in (None, _Graph(device)) if on_gpu else (None,):
                objective = _objective(name, z, predictions, model, given.batch_size, device)
                n_rows = len(next(objective.rows()))
                most = given.steps if on_gpu else min(given.steps, MOST_ON_CPU)
                objective.n_batches = min(objective.n_batches, most)
                steps_per_second = _steps_per_second(objective, graph)
                yield Speed(
                    featurizer=name,
                    device=torch.cuda.get_device_name(device) if on_gpu else "CPU",
                    steps="one by one" if graph is None else graph.use,
                    batch_size=n_rows,
                    steps_per_second=steps_per_second,
                    operations=n_rows * operations,
                    peak=peaks[device],
                )


class _Graph(CudaGraph):
    """A graph that records whether it was used; the first repetition may show that it is not."""

    n_replays = 0

    @property
    def use(self) -> str:
        """Outcome of the capture."""
        return "captured" if self.n_replays > 1 else "not captured"

    def replay(self) -> None:
        """See `Graph.replay`."""
        super().replay()
        self.n_replays += 1


def speeds_table(speeds: Iterator[Speed]) -> str:
    """Table of speeds with the peak of each device, as Markdown."""
    lines = [
        "| featurizer | device | batch | steps | steps a second | GFLOP a step | share of peak |",
        "|---|---|---|---|---|---|---|",
    ]
    peaks = {}
    for each in speeds:
        peaks[each.device] = each.peak
        lines.append(
            f"| {each.featurizer} | {each.device} | {each.batch_size} | {each.steps} "
            f"| {each.steps_per_second:.3g} | {each.operations / 1e9:.3g} | {each.share_of_peak:.2%} |"
        )
    measured = (f"{device} {peak / 1e12:.3g} TFLOP/s" for device, peak in peaks.items())
    return "\n".join([*lines, "", f"Peak of a large matrix product: {', '.join(measured)}."])


def _simulations(n: int, length: int) -> tuple[np.ndarray, np.ndarray, UserModel]:
    """Sines of three parameters: coordinates (n, 3), predictions (n, length), and their model."""
    rng = np.random.default_rng(1)
    time_ = np.linspace(0.0, 1.0, length)

    def sine(z: np.ndarray) -> np.ndarray:
        amplitude, frequency, phase = np.exp(0.3 * z[..., 0]), 5.0 + z[..., 1], z[..., 2]
        return amplitude[..., None] * np.sin(2 * np.pi * frequency[..., None] * time_ + phase[..., None])

    z = rng.normal(size=(n, 3))
    predictions = np.empty((n, length))
    for start in range(0, n, 1000):
        predictions[start : start + 1000] = sine(z[start : start + 1000])
    model = UserModel(lambda p: sine(np.array([p["a"], p["b"], p["c"]])), 0.3, sine(np.zeros(3)))
    return z, predictions, model


def _objective(
    name: str, z: np.ndarray, predictions: np.ndarray, model: UserModel, batch_size: int, device: torch.device
) -> NllObjective:
    """Objective of a round, with data, featurizer and flow on the device."""
    rng = np.random.default_rng(2)
    data = NoisyData(model, predictions, dict(zip("abc", z.T, strict=True)), device)
    with seeded_modules(rng):
        featurizer = featurizer_factory(name)((1, predictions.shape[1]), 3).to(device)
        featurizer.fit(data, rng)
        flow = flow_factory("maf")(3, featurizer.n_features).to(device)
    config = TrainingConfig(batch_size=batch_size, validation_share=min(0.1, N_HELD_OUT / len(z)))
    y = torch.as_tensor(z, dtype=torch.float32)
    return NllObjective(flow, featurizer, data, y, config, rng)


def _steps_per_second(objective: NllObjective, graph: Graph | None) -> float:
    """Steps per second of the median epoch after the first."""
    ends: list[float] = []
    n_epochs = N_EPOCHS if graph is None else max(N_EPOCHS, -(-FIT.worth_a_capture // objective.n_batches))
    module = nn.ModuleList([objective.featurizer, objective.flow])
    # Every epoch ends with the validation loss, for which the host waits.
    fit(
        module,
        objective,
        TrainingConfig(n_epochs=n_epochs, patience=n_epochs),
        on_epoch=lambda *_: ends.append(time.perf_counter()),
        graph_on=lambda device: graph,
    )
    return objective.n_batches / float(np.median(np.diff(ends)))


def _operations_per_row(objective: NllObjective) -> float:
    """Operations counted on a CPU, where torch's counter also sees the products within recurrent units."""
    from torch.utils.flop_counter import FlopCounterMode

    rows = next(objective.rows())
    with FlopCounterMode(display=False) as counter:
        objective.loss_of(rows).backward()
    return counter.get_total_flops() / len(rows)


def _peak(device: torch.device) -> float:
    """Operations per second of a large product in single precision, rounded like torch's convolutions."""
    side = SIDE_OF_PRODUCT[device.type]
    a = torch.randn(side, side, device=device, generator=torch.Generator(device).manual_seed(0))
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        seconds = []
        for _ in range(10):
            start = time.perf_counter()
            # Reading a number of the product makes the host wait.
            float((a @ a)[0, 0])
            seconds.append(time.perf_counter() - start)
    finally:
        torch.set_float32_matmul_precision(before)
    return 2.0 * side**3 / min(seconds)
