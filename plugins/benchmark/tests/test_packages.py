"""Other packages on the same simulations: what goes to them and back, and what is made of it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from fresh_environments import fresh_python
from nbi_sampler_benchmark import __main__ as cli
from nbi_sampler_benchmark.packages.catalogue import Package
from nbi_sampler_benchmark.packages.inside.worker import Answer, Task
from nbi_sampler_benchmark.packages.runs import PackageRun, Sizes, make_run
from nbi_sampler_benchmark.packages.scoring import held_out_log_q, score
from nbi_sampler_benchmark.packages.simulations import SimulatedProblem
from nbi_sampler_benchmark.problems.registry import get_problem
from package_cases import EXACT, EXACT_IN_Z, answered

pytestmark = pytest.mark.filterwarnings("ignore:Parameter attribute queried:FutureWarning")
BROKEN = "def train(task, options):\n    raise RuntimeError('no GPU, no fun')\n"


@pytest.fixture
def adapter(tmp_path):
    def write(text, name="exact"):
        path = tmp_path / f"{name}.py"
        path.write_text(text)
        return path

    return write


def test_an_exact_posterior_is_seen_to_be_exact(line, adapter):
    task, held_out, given = answered(line, adapter(EXACT), False)
    found = score(line, held_out, given, task, False)
    # Entropy of the Gaussian; its log density has a variance of n_dim / 2.
    covariance = np.linalg.inv(np.array([[3350.17, 500.0], [500.0, 100.0]]))
    entropy = 0.5 * np.linalg.slogdet(2 * np.pi * np.e * covariance)[1]
    assert abs(found["nll"] - entropy) < 4 / np.sqrt(300)
    assert found["nll_err"] == pytest.approx(1 / np.sqrt(300), rel=0.3)
    assert found["gain"] == pytest.approx(-found["nll"] + np.log(20), abs=1e-9)
    # But for targets that the edges of the prior cut.
    assert found["efficiency"] > 0.99 and found["ess_per_call"] > 0.99
    reference = get_problem("linear").log_evidence
    assert found["own_efficiency"] > 0.8
    assert abs(found["own_log_evidence"] - reference) < 4 * found["own_log_evidence_err"] + 1e-3
    assert given.facts["epochs"] == 7 and "numpy" in given.facts["versions"]


def test_coordinates_of_a_package_cancel(line, adapter):
    _, held_out, plain = answered(line, adapter(EXACT), False)
    task, _, latent = answered(line, adapter(EXACT_IN_Z, "in_z"), True)
    np.testing.assert_allclose(
        held_out_log_q(line, held_out, latent, True), held_out_log_q(line, held_out, plain, False), atol=1e-6
    )
    found = score(line, held_out, latent, task, True)
    assert found["efficiency"] > 0.99 and found["outside"] == 0.0


def test_draws_outside_of_the_prior_count_but_cost_no_call(line, adapter):
    wide = EXACT.replace("np.linalg.inv(DESIGN.T @ DESIGN)", "100 * np.linalg.inv(DESIGN.T @ DESIGN)")
    wide = wide.replace("DESIGN @ COVARIANCE", "DESIGN @ COVARIANCE / 100")
    task, held_out, given = answered(line, adapter(wide, "wide"), False)
    found = score(line, held_out, given, task, False)
    assert 0.1 < found["outside"] < 0.9
    assert 0.0 < 1.1 * found["efficiency"] < found["ess_per_call"]


def test_more_simulations_are_the_fewer_ones_and_others():
    simulated = SimulatedProblem(get_problem("radial_velocity"))
    many = simulated.simulations(700, 1, "training")
    few = SimulatedProblem(get_problem("radial_velocity")).simulations(400, 1, "training")
    for name in ("z", "theta", "x", "predictions", "sigma"):
        np.testing.assert_array_equal(getattr(few, name), getattr(many, name)[:400])
    assert not np.allclose(few.z, simulated.simulations(400, 2, "training").z)
    assert not np.allclose(few.z, simulated.simulations(400, 1, "held out").z)
    # The noise of each is as large as its own parameter says.
    residuals = (many.x - many.predictions) / many.sigma
    assert abs(residuals.var() - 1) < 5 * np.sqrt(2 / residuals.size)
    assert many.sigma[:, 0] == pytest.approx(many.theta[:, simulated.space.names.index("sigma")])


def test_a_problem_without_data_is_refused():
    with pytest.raises(ValueError, match="data cannot be simulated"):
        SimulatedProblem(get_problem("eggbox"))


def test_task_and_answer_survive_their_files(tmp_path):
    task = Task(
        **{name: np.ones((2, 3)) for name in ("theta", "x", "predictions", "held_out_theta", "held_out_x")},
        targets=np.zeros((1, 3)),
        n_draws=np.array(5),
        seed=np.array(1),
    )
    task.save(tmp_path / "task.npz")
    assert Task.load(tmp_path / "task.npz").sigma is None
    given = Answer(
        held_out_log_q=np.zeros(2),
        draws=np.zeros((1, 5, 3)),
        draws_log_q=np.zeros((1, 5)),
        about=np.array('{"epochs": 3}'),
    )
    given.save(tmp_path / "answer.npz")
    assert Answer.load(tmp_path / "answer.npz").facts == {"epochs": 3}
    assert {path.name for path in tmp_path.iterdir()} == {"task.npz", "answer.npz"}


def command(out, packages, *words):
    small = ["--held-out", "60", "--targets", "4", "--draws", "200", "--n-sims", "100"]
    where = ["--out", str(out), "--environments", str(out / "environments"), "--no-install"]
    return cli.main(["packages", "linear", "--packages", packages, *small, *where, *words])


def test_the_command_reports_and_goes_on_where_it_was(tmp_path, adapter, capsys):
    exact, shifted = adapter(EXACT), adapter(EXACT.replace("theta - x", "theta + 0.1 - x"), "shifted")
    assert command(tmp_path, f"{exact},{shifted},original-nbi") == 0
    printed = capsys.readouterr()
    assert "no environment" in printed.err and "nbi==0.4.1" in printed.err
    report = json.loads((tmp_path / "report.json").read_text())
    assert list(report["missing"]) == ["original-nbi"]
    first, second = report["runs"]
    assert first["label"] == "exact" and first["nll_behind"] == 0.0
    assert second["nll_behind"] > 3 * second["nll_behind_err"] > 0
    assert second["nll_behind"] == pytest.approx(second["nll"] - first["nll"])
    page = (tmp_path / "report.html").read_text()
    assert "exact, seed 1" in page and "original-nbi is missing" in page and "data:image/png" in page
    assert "| 100 | exact, seed 1 |" in printed.out
    assert command(tmp_path, f"{exact}", "--n-sims", "100,150") == 0
    assert exact.with_suffix(".log").read_text().split("\n") == ["100 {}", "150 {}", ""]
    assert not list((tmp_path / "exchange").iterdir())
    # Other options are another run.
    assert command(tmp_path, f"{exact}", "--options", '{"exact": {"a": 1}}') == 0
    assert exact.with_suffix(".log").read_text().split("\n")[2] == '100 {"a": 1}'


def test_a_run_that_fails_is_named_and_not_fatal(tmp_path, adapter, capsys):
    assert command(tmp_path, f"{adapter(EXACT)},{adapter(BROKEN, 'broken')}") == 1
    assert "no GPU, no fun" in capsys.readouterr().out
    report = json.loads((tmp_path / "report.json").read_text())
    assert [row["package"] for row in report["runs"]] == ["exact"]
    assert list(report["missing"]) == ["broken, 100 simulations, seed 1"]


def test_a_package_is_seen_only_in_its_own_environment(tmp_path, line, adapter, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "intruder.py").write_text("")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "elsewhere"))
    text = EXACT + "\nimport importlib.util\nassert importlib.util.find_spec('intruder') is None\n"
    package = Package(name="exact", adapter=adapter(text), requirements=("only-here",))
    run = PackageRun(
        problem="linear",
        digest="",
        package="exact",
        n_sims=100,
        seed=1,
        sizes=Sizes(n_held_out=50, n_targets=3, n_draws=100),
    )
    record = make_run(run, package, fresh_python(tmp_path), line, tmp_path)
    assert isinstance(record, dict), record
    assert record["efficiency"] > 0.9
