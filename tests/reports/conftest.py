"""Runs that are reported."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module", autouse=True)
def runs_are_quick(small_fits_of_a_module):
    """What is shown does not depend on how well a proposal fits."""
