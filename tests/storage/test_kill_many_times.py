"""A run that is killed at random moments, by SIGTERM and SIGKILL, ends with the result of one left in peace.

``NBI_KILLS=50 pytest tests/storage/test_kill_many_times.py`` kills it fifty times.
"""

from __future__ import annotations

import os

import pytest
from kill_many_times import calls_made_again, in_peace, killed


@pytest.mark.slow
def test_killed_many_times_and_none_the_worse(tmp_path, rng):
    n_kills, seconds = int(os.environ.get("NBI_KILLS", "4")), 0.001
    expected = in_peace(tmp_path / "peace", seconds)
    answer = killed(tmp_path / "killed", seconds, n_kills, 0.6 * expected.seconds / n_kills, rng)
    assert answer.log_evidence == expected.log_evidence
    assert answer.samples == expected.samples
    assert (answer.n_calls, answer.status) == (expected.n_calls, "ok")
    # A SIGKILL takes what was done since the last checkpoint; a SIGTERM the call that it comes in.
    assert calls_made_again(answer, n_kills) < 0.5 * answer.n_calls
