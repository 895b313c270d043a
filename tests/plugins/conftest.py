"""Runs with plugins."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module", autouse=True)
def runs_are_quick(small_fits_of_a_module):
    """Hooks are called alike, however well a proposal fits."""
