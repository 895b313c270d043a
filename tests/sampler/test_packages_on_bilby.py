"""Packages that call run_sampler themselves, in an environment of their own, against integrals on a grid."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from fresh_environments import call, fresh_python

import nbi_sampler

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "redback": (
        *("redback", "extinction", "lxml", "regex", "sncosmo"),
        *("requests", "certifi", "charset_normalizer", "idna", "urllib3"),
    ),
    "gwpopulation": ("gwpopulation", "cached_interpolate", "wcosmo", "array_api_compat"),
}

# Compares with sums over a fine grid of the likelihood that the package has made.
GRID = """
import json, sys
import numpy as np
sys.path[:0] = [{root!r}, {tests!r}]
import bilby
from small_runs import made_small
bilby.core.sampler.env_package_list = lambda *_, **__: None  # starts pip

def compared(result, log_likelihood, grid, density):
    log_l = np.array([log_likelihood(point) for point in grid])
    peak = log_l.max()
    weights = np.exp(log_l - peak)
    means = {{name: np.average([p[name] for p in grid], weights=weights) for name in grid[0]}}
    own = result.meta_data["nbi"]
    answer = {{
        "status": own["status"], "ess": own["ess"], "kind": type(result).__name__,
    }}
    expected = peak + np.log(weights.sum() * density)
    answer["log_evidence"] = [result.log_evidence, expected, result.log_evidence_err]
    for name, mean in means.items():
        column = result.posterior[name]
        answer[name] = [column.mean(), mean, column.std() / np.sqrt(min(own["ess"], len(column)))]
    print("ANSWER", json.dumps(answer))
"""

REDBACK = """
import itertools
import redback

rng = np.random.default_rng(3)
days = np.linspace(1.0, 30.0, 40)
def burst(time, a_1, peak_time, **kwargs):
    return a_1 * np.exp(-((time - peak_time) ** 2) / 50.0)
flux = burst(days, 2.0, 12.0) + 0.3 * rng.normal(size=40)
transient = redback.supernova.Supernova(
    name="burst", data_mode="flux_density", time=days, time_err=np.zeros(40), flux_density=flux,
    flux_density_err=np.full(40, 0.3), bands=np.full(40, "lsstg"), frequency=np.full(40, 6e14),
    active_bands="all",
)
from bilby.core.prior import PriorDict, Uniform
priors = PriorDict({"a_1": Uniform(0.0, 5.0), "peak_time": Uniform(0.0, 30.0)})
def fit():
    return redback.fit_model(
        transient, burst, sampler="nbi", prior=priors, nlive=500, walks=100, outdir="out", label="burst",
        n_effective=500, n_sims=500, seed=1, plot=False, training={"n_epochs": 10},
    )
with made_small():
    fit()
    result = fit()  # redback reads it back
grid = [
    {"a_1": a, "peak_time": t}
    for a, t in itertools.product(np.linspace(1.2, 2.8, 41), np.linspace(10.0, 14.0, 41))
]
likelihood = redback.likelihoods.GaussianLikelihood(days, flux, np.full(40, 0.3), burst)
def log_likelihood(point):
    likelihood.parameters.update(point)
    return likelihood.log_likelihood()
compared(result, log_likelihood, grid, 0.04 * 0.1 / 150.0)
"""

# The call of gwpopulation_pipe, with the keywords that it hands to every sampler.
GWPOPULATION = """
import itertools
import pandas as pd
import gwpopulation
from bilby.core.prior import PriorDict, Uniform
from bilby.core.sampler import run_sampler
from bilby.hyper.model import Model
from gwpopulation.hyperpe import HyperparameterLikelihood

rng = np.random.default_rng(3)
gwpopulation.set_backend("numpy")
def population(dataset, mu, sigma):
    return np.exp(-0.5 * ((dataset["x"] - mu) / sigma) ** 2) / sigma / np.sqrt(2 * np.pi)
masses = rng.normal(1.0, 0.7, size=20)
posteriors = [pd.DataFrame({"x": rng.normal(m, 0.2, size=50), "prior": np.ones(50)}) for m in masses]
likelihood = HyperparameterLikelihood(posteriors, Model([population]), ln_evidences=np.zeros(20))
priors = PriorDict({"mu": Uniform(-3.0, 3.0), "sigma": Uniform(0.1, 3.0)})
with made_small():
    result = run_sampler(
        likelihood=likelihood, priors=priors, label="population", sampler="nbi", outdir="out",
        injection_parameters=None, save="hdf5", exit_code=130, nlive=500, nact=2, walks=5,
        n_effective=500, n_sims=500, seed=1, use_ratio=True, training={"n_epochs": 10},
    )
grid = [
    {"mu": m, "sigma": s}
    for m, s in itertools.product(np.linspace(0.0, 2.0, 41), np.linspace(0.3, 2.0, 35))
]
result.log_evidence = result.log_bayes_factor
compared(result, likelihood.log_likelihood_ratio, grid, 0.05 * 0.05 / (6.0 * 2.9))
"""


# Of the page, in the same process, as redback takes long to import.
PAGE = """
import runpy
print("PAGE")
with made_small():
    runpy.run_path("page.py")
"""


def script_of_the_page():
    """The script of docs/redback.md with few simulations."""
    page = (ROOT / "docs" / "redback.md").read_text()
    (script,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    short = script.replace("n_effective=2000", "n_sims=100, max_likelihood_calls=300")
    assert short != script
    return short


@pytest.fixture(scope="module", params=PACKAGES)
def package(request, tmp_path_factory):
    """Name of a package, and what its scripts print in an environment that has it."""
    folder = tmp_path_factory.mktemp(request.param)
    python = fresh_python(folder)
    install = [
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--only-binary",
        ":all:",
        "--timeout",
        "10",
    ]
    done = subprocess.run(
        [*install, "--retries", "1", *PACKAGES[request.param]], capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"{request.param} cannot be installed: {done.stderr.strip()[-200:]}")
    root, tests = str(Path(nbi_sampler.__file__).parents[1]), str(ROOT / "tests")
    script = {"redback": REDBACK + PAGE, "gwpopulation": GWPOPULATION}[request.param]
    (folder / "page.py").write_text(script_of_the_page())
    (folder / "fit.py").write_text(GRID.format(root=root, tests=tests) + script)
    return request.param, call(python, folder, "-W", "ignore", "fit.py")


@pytest.mark.slow
def test_a_fit_through_a_package_is_the_sum_over_a_grid(package):
    name, printed = package
    answer = json.loads(printed.partition("ANSWER")[2].splitlines()[0])
    assert answer.pop("status") == "ok" and answer.pop("ess") >= 500
    assert answer.pop("kind") == {"redback": "RedbackResult", "gwpopulation": "Result"}[name]
    for quantity, (found, expected, error) in answer.items():
        assert abs(found - expected) < 4 * error, quantity


@pytest.mark.slow
def test_the_script_on_the_page_of_redback_runs(package):
    name, printed = package
    if name != "redback":
        pytest.skip("no script of it on a page")
    printed = printed.partition("PAGE")[2]
    assert "log evidence" in printed and "f_nickel" in printed
