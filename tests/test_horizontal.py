"""Other packages on the same simulations: what goes to them and back, and what is made of it."""

from __future__ import annotations

import json
import re
import sys
import types
import zipfile
from pathlib import Path

import numpy as np
import pytest
from fresh_environments import fresh_python
from scipy.stats import multivariate_normal

from nbi_sampler.benchmark import __main__ as cli
from nbi_sampler.benchmark.horizontal.environments import EnvironmentMissing, cache_folder, python_for
from nbi_sampler.benchmark.horizontal.inside.worker import Answer, Task, answer
from nbi_sampler.benchmark.horizontal.packages import ADAPTERS, PACKAGES, Package, package_named
from nbi_sampler.benchmark.horizontal.runs import HorizontalRun, Sizes, make_run
from nbi_sampler.benchmark.horizontal.scoring import held_out_log_q, make_task, score
from nbi_sampler.benchmark.horizontal.simulations import SimulatedProblem
from nbi_sampler.benchmark.problems import get_problem

pytestmark = pytest.mark.filterwarnings("ignore:Parameter attribute queried:FutureWarning")

# The posterior of a straight line with errors of one: exact but for the edges of the prior.
EXACT = """
import json
from pathlib import Path
import numpy as np

GRID = np.linspace(0, 10, 100)
DESIGN = np.stack([GRID, np.ones(100)], 1)
COVARIANCE = np.linalg.inv(DESIGN.T @ DESIGN)

class Exact:
    about = {"epochs": 7}

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def log_prob(self, theta, x):
        residual = theta - x @ DESIGN @ COVARIANCE
        chi_squared = np.einsum("ni,ij,nj->n", residual, np.linalg.inv(COVARIANCE), residual)
        return -0.5 * chi_squared - 0.5 * np.linalg.slogdet(2 * np.pi * COVARIANCE)[1]

    def sample(self, x, n):
        return self.rng.multivariate_normal(x @ DESIGN @ COVARIANCE, COVARIANCE, n)

def train(task, options):
    with Path(__file__).with_suffix(".log").open("a") as file:
        file.write(f"{len(task.theta)} {json.dumps(options)}\\n")
    assert np.allclose(task.sigma, 1.0) and task.x.shape == task.predictions.shape
    return Exact(int(task.seed))
"""

# The same in z: theta = low + width Phi(z).
EXACT_IN_Z = (
    EXACT
    + """
from scipy.stats import norm

LOW, WIDTH = np.array([0.0, -2.0]), np.array([5.0, 4.0])

class InZ(Exact):
    def log_prob(self, z, x):
        return super().log_prob(LOW + WIDTH * norm.cdf(z), x) + (np.log(WIDTH) + norm.logpdf(z)).sum(1)

    def sample(self, x, n):
        u = (super().sample(x, 50 * n) - LOW) / WIDTH
        return norm.ppf(u[((u > 0) & (u < 1)).all(1)][:n])

def train(task, options):
    return InZ(int(task.seed))
"""
)
BROKEN = "def train(task, options):\n    raise RuntimeError('no GPU, no fun')\n"
SIZES = {"n_targets": 10, "n_draws": 400}


@pytest.fixture(scope="module")
def line():
    return SimulatedProblem(get_problem("linear"))


@pytest.fixture
def adapter(tmp_path):
    def write(text, name="exact"):
        path = tmp_path / f"{name}.py"
        path.write_text(text)
        return path

    return write


def answered(simulated, path, latent, options=None, n_sims=300):
    training = simulated.simulations(n_sims, 1, "training")
    held_out = simulated.simulations(300, 1, "held out")
    task = make_task(simulated, training, held_out, latent=latent, seed=1, **SIZES)
    return task, held_out, answer(task, path, options or {})


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


def is_normalised(given):
    """Whether densities are those of the draws: the mean of p over q is one, whatever density p is."""
    for draws, log_q in zip(given.draws, given.draws_log_q, strict=True):
        # A Gaussian well within the draws.
        within = multivariate_normal(draws.mean(0), 0.25 * np.cov(draws.T))
        ratio = np.exp(within.logpdf(draws) - log_q)
        assert abs(ratio.mean() - 1) < 5 * ratio.std() / np.sqrt(len(ratio))


def test_this_package_answers_in_its_coordinates(line):
    package = PACKAGES["nbi_sampler"]
    assert package.latent
    options = {"training": {"n_epochs": 10}, "featurizer": {"hidden": 32, "depth": 1}}
    task, held_out, given = answered(line, package.adapter, True, options, n_sims=1000)
    is_normalised(given)
    found = score(line, held_out, given, task, True)
    # As much as it learns in ten epochs, of about 5 nats.
    assert 1.0 < found["gain"] < 5.5
    assert given.facts["epochs"] == 10


class Network:
    """A density of standardised parameters, as nbi has it: a Gaussian at its data's first two numbers."""

    def __init__(self, asked):
        self.asked = asked

    def __call__(self, data, parameters):
        import torch

        self.asked.append(data.shape)
        residual = parameters - 0.1 * data[:, 0, :2]
        return (0.5 * residual**2 + 0.5 * np.log(2 * np.pi)).sum(1, keepdim=True).to(torch.float32)


class FakeNBI:
    """What the adapter uses of nbi 0.4.1."""

    def __init__(self, flow, featurizer, path):
        assert flow["n_dims"] == 2 and featurizer["type"] == "resnet-gru"
        self.asked = []

    def fit(self, x, y, noise, n_sims, plot, n_epochs, **training):
        contents = [np.load(path) for path in x]
        assert n_sims == len(y) and contents[0].shape == (2, 100)
        data, _ = noise(contents[0], y[0])
        # Fresh noise of the right size each time.
        assert not np.allclose(data, noise(contents[0], y[0])[0])
        assert np.std(data - contents[0][0]) == pytest.approx(1.0, abs=0.4)
        self.y_mean, self.y_std = y.mean(0, keepdims=True), y.std(0, keepdims=True)
        self.vloss = [2.0] * n_epochs
        self.network = types.SimpleNamespace(eval=lambda: None, parameters=lambda: [])

    def get_network(self):
        return Network(self.asked)

    def scale_x(self, x):
        return x - 1.0

    def scale_y(self, y):
        return (y - self.y_mean) / self.y_std

    def sample(self, x, n):
        standard = 0.1 * (x[:2] - 1.0) + np.random.default_rng(0).normal(size=(n, 2))
        return standard * self.y_std[0] + self.y_mean[0]


def test_the_original_package_is_brought_back_to_the_parameters(line, monkeypatch):
    monkeypatch.setitem(sys.modules, "nbi", types.SimpleNamespace(NBI=FakeNBI))
    _, _, given = answered(
        line, PACKAGES["original-nbi"].adapter, False, {"training": {"n_epochs": 3}}, n_sims=200
    )
    is_normalised(given)
    assert given.facts["epochs"] == 3


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
    return cli.main(["horizontal", "linear", "--packages", packages, *small, *where, *words])


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
    run = HorizontalRun(
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


def wheel(folder):
    """A package of one empty module."""
    path = folder / "onlyhere-1.0-py3-none-any.whl"
    about = "onlyhere-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("onlyhere.py", "")
        file.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: onlyhere\nVersion: 1.0\n")
        file.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{about}/RECORD", "")
    return path


def test_environments_are_made_once_and_their_absence_is_explained(tmp_path):
    asked = (str(wheel(tmp_path)),)
    with pytest.raises(EnvironmentMissing, match="none was to be made"):
        python_for(asked, tmp_path / "cache", install=False)
    python = python_for(asked, tmp_path / "cache")
    (place,) = (tmp_path / "cache").iterdir()
    assert python.is_relative_to(place) and list(place.rglob("onlyhere.py"))
    stamp = (place / "complete").stat().st_mtime_ns
    assert python_for(asked, tmp_path / "cache", install=False) == python
    assert (place / "complete").stat().st_mtime_ns == stamp
    with pytest.raises(EnvironmentMissing, match=r"pip install .* failed: ERROR"):
        python_for((str(tmp_path / "nowhere-1.0-py3-none-any.whl"),), tmp_path / "cache")
    assert python_for((), tmp_path / "cache") == Path(sys.executable)


def test_every_package_has_an_adapter_and_the_torch_of_this_one():
    (pin,) = re.findall("^torch==.*$", (Path(__file__).parent.parent / "constraints.txt").read_text(), re.M)
    for package in PACKAGES.values():
        assert package.adapter.is_file() and package.adapter.parent == ADAPTERS
        assert pin in package.requirements or not package.requirements
    with pytest.raises(ValueError, match=r"expected some of nbi_sampler, sbi-maf"):
        package_named("tensorflow")


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, options",
    [
        ("sbi-maf", {"training": {"max_num_epochs": 10}}),
        ("sbi-nsf", {"training": {"max_num_epochs": 5}, "embedding": "fc", "noise_draws": 2}),
        ("original-nbi", {"training": {"n_epochs": 3}}),
    ],
)
def test_real_packages_answer_in_the_coordinates_of_the_task(tmp_path, line, name, options):
    package = PACKAGES[name]
    try:
        python = python_for(package.requirements, cache_folder(), install=False)
    except EnvironmentMissing as error:
        pytest.skip(str(error))
    kept = {}
    run = HorizontalRun(
        problem="linear",
        digest="",
        package=name,
        options=options,
        n_sims=500,
        seed=1,
        sizes=Sizes(n_held_out=100, n_targets=3, n_draws=1000),
    )
    original = Answer.load
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Answer, "load", lambda path: kept.setdefault("answer", original(path)))
        record = make_run(run, package, python, line, tmp_path)
    assert isinstance(record, dict), record
    is_normalised(kept["answer"])
