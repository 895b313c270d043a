"""Fixtures that every test gets or may ask for."""

from __future__ import annotations

import functools
import gc
import logging
import sys

import bilby
import numpy as np
import pytest
import torch
from small_runs import made_small

from nbi_sampler.plugins.manager import Plugin, installed

# Doctests are looked for in modules by their names, and those of the folders' own fixtures are all the same.
collect_ignore_glob = ["*conftest.py"]


def pytest_collection_modifyitems(items):
    """Mark as slow what takes seconds. Tests that import jax come last: many fork, and it warns then."""
    for item in items:
        if item.get_closest_marker("takes_seconds"):
            item.add_marker("slow")
    items.sort(key=lambda item: "jax" in getattr(item, "fixturenames", ()))


def pytest_collection_finish():
    """Keep what all tests have imported out of collections of garbage, which take a twentieth of the time."""
    gc.collect()
    gc.freeze()


def pytest_runtest_setup(item):
    """Leave out, on Windows, what that has not: signals that a process handles, forks and limits."""
    if sys.platform == "win32" and item.get_closest_marker("posix"):
        pytest.skip("needs signals, forks or limits that Windows lacks")


@pytest.fixture(scope="session", autouse=True)
def quiet_bilby():
    """Keep bilby's log out of the test report; tests that read it ask for `bilby_log`."""
    bilby.core.utils.logger.setLevel(logging.WARNING)


@pytest.fixture(scope="session", autouse=True)
def packages_listed_once():
    """Let bilby list packages and modules once: it starts pip for it in every run, which takes as long."""
    sampler = bilby.core.sampler
    with pytest.MonkeyPatch.context() as patch:
        for name in ("env_package_list", "loaded_modules_dict"):
            patch.setattr(sampler, name, functools.cache(getattr(sampler, name)))
        yield


@pytest.fixture
def small_fits():
    """Make small fits in a test."""
    with made_small():
        yield


@pytest.fixture(scope="module")
def small_fits_of_a_module():
    """Make small fits in all tests of a module, and in the runs that they share."""
    with made_small():
        yield


@pytest.fixture
def quick_pictures(monkeypatch):
    """Draw without room for labels, in half of the time, in tests that do not look at the pictures."""
    monkeypatch.setattr("matplotlib.layout_engine.do_constrained_layout", lambda *_, **__: None)


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Use one thread a process, so that two test processes do not fight over two cores."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def own_warnings_are_seen():
    """Let the warnings of our own code through, which no user sees: here they are errors."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nbi_sampler.core.guarded.silence_own_warnings", False)
        yield


@pytest.fixture(autouse=True)
def command_line_of_bilby(monkeypatch):
    """Put bilby's switches back: ``run_sampler(clean=True)`` sets one for the rest of the process."""
    switches = bilby.core.utils.command_line_args
    for name in ("clean", "use_cached"):
        monkeypatch.setattr(switches, name, getattr(switches, name))


@pytest.fixture(scope="package", autouse=True)
def no_installed_plugins():
    """Let no plugin take part that happens to be installed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nbi_sampler.plugins.manager.entry_points", lambda group: ())
        installed.cache_clear()
        yield
    installed.cache_clear()


@pytest.fixture
def plugins():
    """Those of this process, without what tests before have registered."""
    installed.cache_clear()
    yield installed()
    installed.cache_clear()


@pytest.fixture
def install_plugin(tmp_path, monkeypatch):
    """Put a distribution with one module and one entry point where Python finds it."""

    def make(name, code, version="0.3"):
        module = f"{name}_of_test"
        folder = tmp_path / f"nbi_{name}-{version}.dist-info"
        folder.mkdir()
        (tmp_path / f"{module}.py").write_text(code)
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: nbi-{name}\nVersion: {version}\n")
        (folder / "entry_points.txt").write_text(f"[nbi_sampler]\n{name} = {module}\n")
        monkeypatch.delitem(sys.modules, module, raising=False)
        return Plugin(name, f"nbi-{name}", version)

    monkeypatch.syspath_prepend(tmp_path)
    yield make
    for path in tmp_path.glob("*_of_test.py"):
        sys.modules.pop(path.stem, None)


@pytest.fixture(autouse=True)
def untouched_global_generators():
    """Fail any test during which a global generator of torch or numpy moved: one seed must rule a run."""
    before_torch, before_numpy = torch.get_rng_state(), np.random.get_state()
    yield
    torch_moved = not torch.equal(before_torch, torch.get_rng_state())
    numpy_moved = not _equal(before_numpy, np.random.get_state())
    # Put back what moved, so that one culprit does not change what later tests draw.
    torch.set_rng_state(before_torch)
    np.random.set_state(before_numpy)
    moved = [name for name, flag in (("torch", torch_moved), ("numpy", numpy_moved)) if flag]
    assert not moved, f"the global random generator of {' and '.join(moved)} was used or seeded"


def _equal(first, second):
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.fixture
def rng():
    """Return a seeded generator of the test's own."""
    return np.random.default_rng(20231206)


@pytest.fixture
def bilby_log(caplog):
    """Catch bilby's log from INFO upwards in `caplog`, which bilby's own logger does not reach by itself."""
    logger = bilby.core.utils.logger
    level = logger.level
    logger.addHandler(caplog.handler)
    logger.setLevel(logging.INFO)
    yield caplog
    logger.setLevel(level)
    logger.removeHandler(caplog.handler)


@pytest.fixture(autouse=True)
def without_jax(monkeypatch):
    """As if nobody had imported jax, which another test of this process may have."""
    monkeypatch.delitem(sys.modules, "jax", raising=False)
