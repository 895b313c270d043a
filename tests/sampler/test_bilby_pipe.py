"""bilby_pipe: what it hands to a sampler, recorded; and, where it is installed, a job evicted and resumed."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import bilby
import numpy as np
import pytest
from bilby.core.likelihood import Likelihood
from bilby.core.prior import PriorDict, Uniform

from nbi_sampler.sampler.keywords import DEFAULTS
from nbi_sampler.sampler.nbi import Nbi

PASSED_ON = {"check_point_plot": True, "check_point_delta_t": 1800}
STEERING = {"naccept": 60, "nlive": 1000, "sample": "acceptance-walk"}
# ``sampler-kwargs`` in a configuration file; what bilby_pipe 1.10.1 hands over for it; what that means here.
HANDED_OVER = {
    "DynestyDefault": (
        {**STEERING, **PASSED_ON, "print_method": "interval-60"},
        {**PASSED_ON, "print_method": "interval-60"},
    ),
    "FastTest": (
        {**STEERING, **PASSED_ON, "nlive": 50, "naccept": 5, "dlogz": 1, "print_method": "interval-10"},
        {**PASSED_ON, "print_method": "interval-10"},
    ),
    "{seed: None, max_likelihood_calls: 1e5, n_sims: auto, refine: False, device: cpu}": (
        {"seed": "None", "max_likelihood_calls": 1e5, "n_sims": "auto", "refine": False, "device": "cpu"},
        {"seed": None, "max_likelihood_calls": 100_000, "n_sims": "auto", "refine": False, "device": "cpu"},
    ),
    "{training: {n_threads: None}, flow: {type: maf, n_mog: 4}}": (
        {"training": {"n_threads": "None"}, "flow": {"type": "maf", "n_mog": 4}},
        {"training": {"n_threads": None}, "flow": {"type": "maf", "n_mog": 4}},
    ),
    "{training: None, featurizer: {type: resnet, dim_in: None}}": (
        {"training": "None", "featurizer": {"type": "resnet", "dim_in": "None"}},
        {"training": None, "featurizer": {"type": "resnet", "dim_in": None}},
    ),
    "{simulator: numpy.cos, x_obs: [1, 2.5]}": (
        {"simulator": "numpy.cos", "x_obs": ["1", "2.5"]},
        {"simulator": np.cos, "x_obs": [1, 2.5]},
    ),
}

TIME = 1126259642.4
CONFIGURATION = f"""
label = fit
outdir = out
accounting = a.test.of.nbi
detectors = [H1, L1]
duration = 4
sampling-frequency = 512
maximum-frequency = 256
trigger-time = {TIME}
zero-noise = True
injection = True
injection-dict = {{chirp_mass: 28, mass_ratio: 0.8, chi_1: 0, chi_2: 0, luminosity_distance: 900,
    theta_jn: 0.5, phase: 1, psi: 0.6, ra: 1.3, dec: -1.1, geocent_time: {TIME}}}
waveform-approximant = IMRPhenomD
prior-dict = {{chirp_mass: Uniform(25, 31), mass_ratio: Uniform(0.25, 1),
    luminosity_distance: PowerLaw(alpha=2, minimum=300, maximum=3000), chi_1: 0, chi_2: 0,
    theta_jn: 0.5, phase: 1, psi: 0.6, ra: 1.3, dec: -1.1, geocent_time: {TIME}}}
sampler = nbi
sampling-seed = 12
""".replace("\n    ", " ")


class Bowl(Likelihood):
    """A Gaussian in one parameter."""

    def log_likelihood(self, parameters):
        return -0.5 * parameters["a"] ** 2


@pytest.mark.parametrize(("given", "meant"), HANDED_OVER.values(), ids=HANDED_OVER)
def test_what_is_handed_over_is_understood(given, meant):
    # A seed in the file counts, even None; without one, bilby_pipe adds its own.
    seed = {} if "seed" in given else {"sampling_seed": 12}
    sampler = Nbi(Bowl(), PriorDict({"a": Uniform(-3, 3)}), soft_init=True, **given, **seed)
    assert sampler.kwargs == {**DEFAULTS, "seed": 12, **meant}


def test_what_is_handed_over_is_what_was_recorded():
    kind = pytest.importorskip("bilby_pipe.input").Input
    job = kind.__new__(kind)
    job._sampler, job.request_cpus = "nbi", 1
    for text, (recorded, _) in HANDED_OVER.items():
        job.sampler_kwargs = text
        assert job.sampler_kwargs == recorded


def test_a_former_result_is_handed_over_as_the_text_of_its_path():
    """From which a run starts: see `test_initial_result.TestForms`."""
    kind = pytest.importorskip("bilby_pipe.input").Input
    job = kind.__new__(kind)
    job._sampler, job.request_cpus = "nbi", 1
    for text in (
        "{initial_result: /former/O4a/last_year_result.json}",
        "{'initial_result': 'x_result.hdf5'}",
    ):
        job.sampler_kwargs = text
        assert job.sampler_kwargs == {"initial_result": text.strip("{'}").split(": ")[1].strip("'")}


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    """Folder of a job whose data are made, and a function that runs its programs there."""
    pytest.importorskip("bilby_pipe")
    folder = tmp_path_factory.mktemp("job")
    (folder / "fit.ini").write_text(CONFIGURATION)
    programs = Path(sys.executable).parent
    environment = os.environ | {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}

    def run(command):
        return subprocess.run(
            shlex.split(command), cwd=folder, env=environment, capture_output=True, text=True, timeout=500
        )

    return folder, run


def result_in(folder):
    (path,) = folder.glob("*_result.hdf5")
    return bilby.read_in_result(str(path))


@pytest.mark.slow
def test_a_local_job_with_default_keywords_finishes_and_one_evicted_again_and_again_resumes(job):
    folder, run = job
    done = run("bilby_pipe fit.ini --local")
    assert done.returncode == 0, done.stderr[-3000:]
    result = result_in(folder / "out" / "result")
    assert result.meta_data["nbi"]["status"] == "ok"
    assert result.meta_data["nbi"]["seed"] == 12
    chirp_mass = result.posterior["chirp_mass"]
    assert abs(chirp_mass.mean() - 28) < 3 * chirp_mass.std()
    assert "Sampler nbi does not use and ignores naccept, nlive, sample" in done.stderr

    # Not the completed configuration, which says that the job is a local one: these are never evicted.
    (dump,) = (folder / "out" / "data").glob("*.pickle")
    command = (
        "bilby_pipe_analysis fit.ini --outdir evicted --label fit --sampler nbi "
        f"--detectors H1 --detectors L1 --data-dump-file {dump} --periodic-restart-time"
    )
    runs = [run(f"{command} {seconds}") for seconds in (8, 10)]
    assert [each.returncode for each in runs] == [77, 77], runs[-1].stderr[-3000:]
    runs.append(run(f"{command} 28800"))
    assert runs[-1].returncode == 0, runs[-1].stderr[-3000:]
    resumed = result_in(folder / "evicted" / "result")
    assert resumed.log_evidence == result.log_evidence
    assert np.array_equal(resumed.posterior["chirp_mass"], chirp_mass)
    assert resumed.num_likelihood_evaluations == result.num_likelihood_evaluations
