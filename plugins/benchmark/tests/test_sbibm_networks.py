"""Networks alone on the tasks of sbibm: simulators that agree with the likelihoods, and the command."""

from __future__ import annotations

import json

import numpy as np
import pytest
from nbi_sampler_benchmark.__main__ import main
from nbi_sampler_benchmark.packages.inside import worker
from nbi_sampler_benchmark.runs.runner import read_records
from nbi_sampler_benchmark.sbibm import networks
from nbi_sampler_benchmark.sbibm.dynamics import lotka_volterra_populations, sir_infected
from nbi_sampler_benchmark.sbibm.networks import networks_table, run_networks
from nbi_sampler_benchmark.sbibm.simulators import SIMULATORS
from nbi_sampler_benchmark.sbibm.tasks import TASKS
from nbi_sampler_benchmark.sbibm.wheel import Wheel
from sbibm_files import make_wheel

from nbi_sampler.priors.space import ParameterSpace

STEP = {"two_moons": 4e-3, "slcp": 0.02, "gaussian_mixture": 4e-3}
# Tasks whose likelihood solves differential equations, which takes too long for each of many data.
DYNAMIC = ("sir", "lotka_volterra")


@pytest.mark.parametrize("name", [name for name in SIMULATORS if name not in DYNAMIC])
def test_data_of_a_simulator_have_its_likelihood(name, rng, tmp_path):
    """The ratio of the likelihoods of two parameters is one in the mean, over data of the second."""
    design = [("design_matrix.pt", rng.normal(size=(100, 10)))] if name.startswith("bernoulli") else ()
    wheel = Wheel(make_wheel(tmp_path / "w.whl", TASKS[name].folder, tensors=design))
    space = ParameterSpace(TASKS[name].priors())
    z = 0.3 * np.ones(space.n_dim)
    step = STEP.get(name, 0.05)
    # The support of the two moons stays the same along this direction alone.
    along = np.array([1.0, -1.0]) if name == "two_moons" else np.ones(space.n_dim)
    theta, other, wrong = (space.to_theta((z + step * k * along)[None])[0] for k in (0, 1, -6))

    def mean_ratio(simulated):
        x = SIMULATORS[name](wheel, np.repeat(simulated[:, None], 1000, 1), rng)
        ratios = np.empty(len(x))
        for i, data in enumerate(x):
            log_likelihood = TASKS[name].log_likelihood_of(wheel, data)
            ratios[i] = np.exp(float(log_likelihood(other)) - float(log_likelihood(theta)))
        return ratios.mean(), ratios.std() / np.sqrt(len(x))

    mean, error = mean_ratio(theta)
    assert abs(mean - 1.0) < 4 * error and error < 0.1
    mean, error = mean_ratio(wrong)
    assert abs(mean - 1.0) > 4 * error


def test_data_of_the_dynamic_tasks_scatter_about_their_solutions(rng, tmp_path):
    n = 400
    rates = np.array([0.4, 0.125])
    infected = SIMULATORS["sir"](None, np.repeat(rates[:, None], n, 1), rng)
    share = np.exp(sir_infected(*rates))
    error = np.sqrt(share * (1 - share) / 1000 / n)
    assert (np.abs(infected.mean(0) / 1000 - share) < 4.5 * error + 1e-12).all()
    rates = np.array([0.9, 0.05, 0.9, 0.05])
    logs = np.log(SIMULATORS["lotka_volterra"](None, np.repeat(rates[:, None], n, 1), rng))
    expected = lotka_volterra_populations(*rates).ravel()
    assert (np.abs(logs.mean(0) - expected) < 4.5 * 0.1 / np.sqrt(n)).all()
    np.testing.assert_allclose(logs.std(0), 0.1, rtol=4.5 / np.sqrt(2 * n))


@pytest.fixture
def wheel(tmp_path, rng):
    return make_wheel(
        tmp_path / "w.whl", "gaussian_mixture", observation=[0.5, 0.0], reference=rng.normal(size=(200, 2))
    )


def test_the_command_keeps_what_it_has_measured(wheel, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(networks, "N_DRAWS", 100)
    monkeypatch.setattr(networks, "N_HELD_OUT", 50)
    options = {"nbi_sampler-defaults": {"training": {"n_epochs": 1}}}
    words = ["networks", "--tasks", "gaussian_mixture", "--packages", "nbi_sampler-defaults"]
    words += ["--n-sims", "150", "--wheel", str(wheel), "--out", str(tmp_path / "out")]
    words += ["--options", json.dumps(options)]
    assert main(words) == 0
    (record,) = read_records(tmp_path / "out" / "networks.jsonl")
    assert 0.4 < record["c2st"][0] <= 1.0 and np.isfinite(record["nll"]) and record["outside"] == 0.0
    table = capsys.readouterr().out
    assert "| gaussian_mixture | 150 | nbi_sampler-defaults" in table
    monkeypatch.setattr(networks, "_answer", None)
    assert main(words) == 0


def test_draws_outside_of_the_prior_are_left_out_and_counted(wheel, tmp_path, monkeypatch, rng):
    monkeypatch.setattr(networks, "N_DRAWS", 150)

    def answered(question, *_):
        draws = rng.normal(size=(1, int(question.n_draws), 2))
        draws[:, ::3] = 99.0
        about = np.array(json.dumps({"training": {"cpu_seconds": 1.0}}))
        log_q = np.zeros(len(question.held_out_x))
        return worker.Answer(held_out_log_q=log_q, draws=draws, draws_log_q=draws[..., 0], about=about)

    monkeypatch.setattr(networks, "_answer", answered)
    job = {"task": "gaussian_mixture", "package": "sbi-maf", "n_sims": 100, "observations": [1], "seed": 1}
    (record,) = run_networks(
        wheel, tmp_path, tmp_path / "out", [job | {"options": {}, "early_stopping": True}]
    )
    assert record["outside"] == pytest.approx(1 / 3) and record["c2st"][0] < 0.65


def test_a_package_that_fails_is_told_and_tried_again(wheel, tmp_path, monkeypatch):
    monkeypatch.setattr(networks, "_answer", lambda *_: "failed: no memory")
    job = {"task": "gaussian_mixture", "package": "sbi-maf", "n_sims": 100, "observations": [1], "seed": 1}
    records = run_networks(wheel, tmp_path, tmp_path / "out", [job | {"options": {}, "early_stopping": True}])
    assert "failed: no memory" in networks_table(records)
    assert not read_records(tmp_path / "out" / "networks.jsonl")
