"""A run is called again: more is asked of it, its problem has changed, or it is to start afresh."""

from __future__ import annotations

import os

import bilby
import pytest
from resume_cases import (
    SHORT,
    Bowl,
    Stopping,
    assert_equal,
    assert_no_call_paid_twice,
    checkpoint,
    line_likelihood,
    terminate,
)

from nbi_sampler.sampler.nbi import Nbi
from nbi_sampler.storage.checkpoint import read_draws


def test_more_effective_samples_of_a_run_that_is_complete(run, tmp_path, bilby_log):
    first, second, third = Stopping(), Stopping(), Stopping()
    before = run(Bowl(first))
    again = run(Bowl(second))
    assert_equal(again, before)
    assert len(second.calls) < 130
    assert again.sampling_time >= 0.9 * before.sampling_time
    more = run(Bowl(third), n_effective=1200)
    assert more.meta_data["nbi"]["ess"] >= 1200
    assert more.num_likelihood_evaluations > before.num_likelihood_evaluations
    assert_no_call_paid_twice(first, third, more)
    assert bilby_log.text.count("nbi: continues from") == 2


def test_more_calls_for_a_run_that_had_too_few(run, unbroken):
    expected, _ = unbroken(Bowl)
    first, second = Stopping(), Stopping()
    poor = run(Bowl(first), max_likelihood_calls=expected.num_likelihood_evaluations - 300)
    assert poor.meta_data["nbi"]["status"] != "ok"
    rich = run(Bowl(second))
    assert rich.meta_data["nbi"]["status"] == "ok"
    assert_no_call_paid_twice(first, second, rich)


def test_changed_data_are_told_and_start_afresh(run, tmp_path, bilby_log):
    run(line_likelihood(Stopping()), **SHORT)
    changed = Stopping()
    result = run(line_likelihood(changed, shift=0.01), **SHORT)
    assert len(changed.calls) >= result.num_likelihood_evaluations
    (warning,) = [r.getMessage() for r in bilby_log.records if "is not used" in r.getMessage()]
    assert "values of the likelihood" in warning
    assert sorted(each.name for each in checkpoint(tmp_path).parent.iterdir()) == [
        *("checkpoint.npz", "checkpoint.old-1.npz"),
    ]


@pytest.mark.posix
def test_starting_afresh_on_request_removes_the_file(run, tmp_path, bilby_log):
    first, second = Stopping(), Stopping(300, terminate)
    run(Bowl(first), **SHORT)
    with pytest.raises(SystemExit):
        run(Bowl(second), resume=False)
    assert "goes on" not in bilby_log.text and "is not used" not in bilby_log.text
    assert len(read_draws(checkpoint(tmp_path))["z"]) < 300


@pytest.mark.posix
def test_without_a_seed_the_run_goes_on_with_the_one_it_had(run):
    first, second = Stopping(300, terminate), Stopping()
    with pytest.raises(SystemExit):
        run(Bowl(first), seed=None)
    result = run(Bowl(second), seed=None, **SHORT)
    assert_no_call_paid_twice(first, second, result)
    assert result.sampler_kwargs["seed"] == result.meta_data["nbi"]["seed"]


def test_bilbys_clean_starts_afresh(run, monkeypatch):
    monkeypatch.setattr(bilby.core.utils.command_line_args, "clean", True)
    run(Bowl(Stopping()), **SHORT)
    again = Stopping()
    result = run(Bowl(again), **SHORT)
    assert len(again.calls) >= result.num_likelihood_evaluations


def test_the_file_is_in_the_directory_that_the_scheduler_is_told_of(run, tmp_path):
    run(Bowl(Stopping()), **SHORT)
    (directory,) = Nbi.get_expected_outputs(outdir=str(tmp_path), label="x")[1]
    assert [each.name for each in os.scandir(directory)] == ["checkpoint.npz"]
