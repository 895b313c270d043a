"""Fixtures of the gravitational-wave tests."""

from __future__ import annotations

import functools
import logging

import bilby
import pytest
from gw_cases import observed

# Doctests are looked for in modules by their names, and fixtures of all plugins have the same.
collect_ignore_glob = ["*conftest.py"]


@pytest.fixture(scope="session", autouse=True)
def quiet_bilby():
    """Keep bilby's log out of the test report, and let it list the installed packages once."""
    bilby.core.utils.logger.setLevel(logging.WARNING)
    name = "bilby.core.sampler.env_package_list"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(name, functools.cache(bilby.core.sampler.env_package_list))
        yield


@pytest.fixture(scope="session")
def detectors():
    """Three detectors with a signal."""
    return observed(20.0, 20.0, 20.0)


@pytest.fixture(scope="session")
def unequal_detectors():
    """Three detectors whose bands begin at different frequencies."""
    return observed(20.0, 24.0, 30.0)
