"""One run killed again and again, at random moments, by SIGTERM and SIGKILL, until it is complete.

``python tests/storage/kill_many_times.py 50`` kills it fifty times, and compares its result with that of
the same run left in peace. Called with fewer kills by ``test_kill_many_times.py``.
"""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import bilby
import numpy as np
import torch
from bilby.core.likelihood import GaussianLikelihood
from bilby.core.prior import PriorDict, Uniform

EXIT_CODE = 77
BILBYS_CALLS = 100
X = np.linspace(0, 1, 25)
Y = 1.5 * X + 0.3 + 0.5 * np.random.default_rng(4).normal(size=25)


class Answer(NamedTuple):
    """Of one run: what was found, and every call that was finished for it."""

    log_evidence: float
    log_evidence_err: float
    means: list
    samples: list
    n_calls: int
    status: str
    seconds: float
    calls: list


def slow_line(seconds, log):
    """A model that is slow once bilby has timed it, and leaves a line of text for every finished call."""
    n_calls = 0

    def line(x, m, c):
        nonlocal n_calls
        n_calls += 1
        prediction = float(m) * x + float(c)
        if n_calls > BILBYS_CALLS:
            time.sleep(seconds)
            with log.open("a") as file:
                file.write(f"{float(m).hex()} {float(c).hex()}\n")
        return prediction

    return line


def run(folder, seconds):
    """Run to the end, or until killed; the beginning leaves ``begun``, the end ``answer.json``."""
    (folder / "begun").touch()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    bilby.core.utils.logger.setLevel(logging.ERROR)
    bilby.core.sampler.env_package_list = lambda *arguments, **keywords: None
    likelihood = GaussianLikelihood(X, Y, slow_line(seconds, folder / "calls.txt"), sigma=0.5)
    result = bilby.run_sampler(
        likelihood,
        PriorDict({"m": Uniform(-3, 3), "c": Uniform(-3, 3)}),
        sampler="nbi",
        outdir=str(folder),
        label="killed",
        save=False,
        seed=3,
        n_effective=400,
        n_sims=300,
        n_rounds=2,
        check_point_delta_t=0.3,
        exit_code=EXIT_CODE,
        print_method="none",
        training={"n_epochs": 8},
    )
    weights = result.nested_samples["weights"].to_numpy()
    answer = Answer(
        log_evidence=result.log_evidence,
        log_evidence_err=result.log_evidence_err,
        means=[float(weights @ result.nested_samples[name]) for name in ("m", "c")],
        samples=result.samples.tolist(),
        n_calls=result.num_likelihood_evaluations,
        status=result.meta_data["nbi"]["status"],
        seconds=float(result.sampling_time),
        calls=[],
    )
    (folder / "answer.json").write_text(json.dumps(answer._asdict()))


def processes():
    """Processes that start at once, because their server has imported everything."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["nbi_sampler.sampler.nbi"])
    return context


def wait_for(path, seconds=120.0):
    """Wait until a file is there, and take it away."""
    until = time.monotonic() + seconds
    while not path.exists():
        if time.monotonic() > until:
            raise TimeoutError(f"{path} did not appear in {seconds} s")
        time.sleep(0.01)
    path.unlink()


def answer_in(folder):
    """The result that a complete run has left."""
    values = json.loads((folder / "answer.json").read_text())
    return Answer(**{**values, "calls": (folder / "calls.txt").read_text().splitlines()})


def in_peace(folder, seconds):
    """The run that nobody kills."""
    folder.mkdir()
    process = processes().Process(target=run, args=(folder, seconds))
    process.start()
    process.join()
    return answer_in(folder)


def killed(folder, seconds, n_kills, mean_life, rng, log=None):
    """The run that is killed ``n_kills`` times, after lives of about ``mean_life`` seconds."""
    folder.mkdir()
    (folder / "calls.txt").touch()
    kinds = rng.permutation(np.resize([signal.SIGTERM, signal.SIGKILL], n_kills))
    for number, kind in enumerate(kinds):
        process = processes().Process(target=run, args=(folder, seconds))
        process.start()
        wait_for(folder / "begun")
        process.join(rng.uniform(0.0, 2.0 * mean_life))
        if not process.is_alive():
            raise RuntimeError(f"the run was complete after {number} kills: give it shorter lives")
        os.kill(process.pid, kind)
        process.join(60)
        # Before the run itself begins, the signal is Python's.
        expected = (EXIT_CODE, -signal.SIGTERM) if kind == signal.SIGTERM else (-signal.SIGKILL,)
        if process.exitcode not in expected:
            raise RuntimeError(f"kill {number} by {signal.Signals(kind).name}: left with {process.exitcode}")
        if log is not None:
            n_calls = len((folder / "calls.txt").read_text().splitlines())
            log(f"{number + 1:3d} {signal.Signals(kind).name}, {n_calls:,} calls finished so far")
    process = processes().Process(target=run, args=(folder, seconds))
    process.start()
    process.join()
    return answer_in(folder)


def calls_made_again(answer, n_kills):
    """Calls of draws that had been finished before; not of the probes, which every start makes."""
    counts = np.array(list(Counter(answer.calls).values()))
    return int((counts[counts <= n_kills // 2] - 1).sum())


def main():
    """Compare, and print."""
    n_kills = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    with tempfile.TemporaryDirectory() as name:
        folder, seconds = Path(name), 0.02
        expected = in_peace(folder / "peace", seconds)
        print(f"left in peace: {expected.n_calls:,} calls, {expected.seconds:.0f} s", flush=True)
        rng = np.random.default_rng(n_kills)
        answer = killed(folder / "killed", seconds, n_kills, expected.seconds / n_kills, rng, print)
    print(f"{n_kills} kills: {answer.seconds:.0f} s, {calls_made_again(answer, n_kills):,} calls made again")
    for name in ("log_evidence", "log_evidence_err", "means", "n_calls", "status"):
        print(f"{name}: {getattr(answer, name)} killed, {getattr(expected, name)} in peace")
    print(f"samples equal: {answer.samples == expected.samples}")


if __name__ == "__main__":
    main()
