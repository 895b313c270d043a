"""The evidence of a result of any sampler: from Python and from the command line."""

from __future__ import annotations

import bilby
import numpy as np
import pandas as pd
import pytest
import trained_lines as lines
from bilby.core.result import Result
from small_runs import assert_agrees

import nbi_sampler
from nbi_sampler import cli
from nbi_sampler.sampler.script import ScriptError, problem_of

SCRIPT = """
import bilby, numpy as np
import trained_lines as lines
likelihood = lines.likelihood()
{call}
"""
QUICK = dict(n_effective=400, seed=1, print_method="none", training={"n_epochs": 10})


@pytest.fixture
def mcmc(tmp_path):
    """A result as an MCMC leaves it: no evidence, no weights, samples alone."""
    likelihood = lines.likelihood()
    design = np.stack([lines.X, np.ones_like(lines.X)], axis=1)
    covariance = lines.SIGMA**2 * np.linalg.inv(design.T @ design)
    mean = np.linalg.lstsq(design, likelihood.y, rcond=None)[0]
    samples = np.random.default_rng(1).multivariate_normal(mean, covariance, 500)
    result = Result(
        label="chain",
        outdir=str(tmp_path),
        sampler="emcee",
        search_parameter_keys=["m", "c"],
        priors=lines.priors(),
        posterior=pd.DataFrame(samples, columns=["m", "c"]),
    )
    result.save_to_file(outdir=str(tmp_path))
    return result


@pytest.mark.parametrize("form", ["result", "path", "frame"])
def test_is_right_for_samples_of_any_form(form, mcmc, tmp_path):
    likelihood = lines.likelihood()
    given = {"result": mcmc, "path": tmp_path / "chain_result.json", "frame": mcmc.posterior}[form]
    priors = lines.priors() if form == "frame" else None
    result = nbi_sampler.evidence_of(given, likelihood, priors, **QUICK, **({"outdir": str(tmp_path)}))
    assert_agrees(result, lines.exact(likelihood))
    assert result.meta_data["nbi"]["k_hat"] < 0.7
    if form != "frame":
        assert (tmp_path / "chain_evidence_result.json").is_file()


def test_needs_priors_where_nothing_has_them(mcmc):
    with pytest.raises(ValueError, match=r"priors: expected priors for the evidence, got None.*pass priors="):
        nbi_sampler.evidence_of(mcmc.posterior, lines.likelihood())


@pytest.mark.parametrize("given", [None, [1.0, 2.0], np.ones((50, 2))], ids=["none", "list", "array"])
def test_names_what_is_no_result(given):
    """Without one a run would begin with the prior, and give its own evidence."""
    with pytest.raises(TypeError, match=r"result: expected a bilby Result .*; pass what"):
        nbi_sampler.evidence_of(given, lines.likelihood(), lines.priors())


def test_names_what_is_no_likelihood(mcmc):
    with pytest.raises(TypeError, match="likelihood: expected a bilby Likelihood, got PriorDict"):
        nbi_sampler.evidence_of(mcmc, lines.priors(), lines.likelihood())


def test_takes_a_result_that_has_no_priors(mcmc, tmp_path):
    bare = Result(
        label="bare", outdir=str(tmp_path), search_parameter_keys=["m", "c"], posterior=mcmc.posterior
    )
    with pytest.raises(ValueError, match=r"priors: expected priors for the evidence, got None.*pass priors="):
        nbi_sampler.evidence_of(bare, lines.likelihood())
    result = nbi_sampler.evidence_of(bare, lines.likelihood(), lines.priors(), **QUICK)
    assert_agrees(result, lines.exact(lines.likelihood()))


def test_its_accuracy_is_that_of_its_default():
    """One over the root of the effective samples is the largest error that there can be."""
    from nbi_sampler.core.config import EVIDENCE

    assert 1.0 / np.sqrt(EVIDENCE.n_effective) == pytest.approx(0.02)


@pytest.mark.parametrize(
    "call",
    ["priors = lines.priors()", "bilby.run_sampler(likelihood, lines.priors(), sampler='dynesty')"],
    ids=["defined", "handed_over"],
)
def test_the_command_takes_the_problem_from_a_script(call, mcmc, tmp_path, monkeypatch, capsys):
    (tmp_path / "script.py").write_text(SCRIPT.format(call=call))
    words = ["evidence", str(tmp_path / "chain_result.json"), "--script", str(tmp_path / "script.py")]
    before = bilby.run_sampler
    assert cli.main([*words, "--n-effective", "400", "--seed", "1"]) == 0
    assert bilby.run_sampler is before
    first, message = capsys.readouterr().out.splitlines()
    value = float(first.split("=")[1].split("+-")[0])
    assert value == pytest.approx(lines.exact(lines.likelihood()).log_evidence, abs=0.2)
    assert "k-hat" in first and first.endswith(": ok") and "effective samples" in message


def test_the_command_names_what_is_wrong_in_one_line(mcmc, tmp_path, capsys):
    words = ["evidence", str(tmp_path / "chain_result.json"), "--script"]
    assert cli.main([*words, str(tmp_path / "nowhere.py")]) == 1
    assert "expected an existing script (.py) or a module" in capsys.readouterr().err
    (tmp_path / "empty.py").write_text("priors = {}\n")
    assert cli.main([*words, str(tmp_path / "empty.py")]) == 1
    assert "expected it to define 'likelihood'" in capsys.readouterr().err


def test_modules_serve_as_scripts(tmp_path, monkeypatch):
    (tmp_path / "problem_of_test.py").write_text(SCRIPT.format(call="priors = dict(lines.PRIORS)"))
    monkeypatch.syspath_prepend(tmp_path)
    likelihood, priors = problem_of("problem_of_test")
    assert sorted(priors) == ["c", "m"] and np.array_equal(likelihood.y, lines.likelihood().y)
    with pytest.raises(ScriptError, match="expected an existing script"):
        problem_of("no_such_module_of_test")
