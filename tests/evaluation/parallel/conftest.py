"""Two processes, and what one process finds."""

from __future__ import annotations

import pytest
import worker_cases as cases

from nbi_sampler.evaluation.pools import opened_pool


@pytest.fixture
def two():
    """Two processes that inherit the problem."""
    with opened_pool(2, None) as pool:
        yield pool


@pytest.fixture
def expected():
    return cases.evaluator(cases.value)(cases.draws(300)).log_likelihood


@pytest.fixture(autouse=True)
def no_problem_remembered():
    """Some pools of these tests run chunks in this process."""
    from nbi_sampler.evaluation import worker_process

    yield
    worker_process._problems.clear()
