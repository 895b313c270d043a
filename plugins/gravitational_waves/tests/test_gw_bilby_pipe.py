"""bilby_pipe, where it is installed: the example's configuration, from its data to a converted posterior."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import bilby
import pytest

CONFIGURATION = Path(__file__).parents[1] / "examples" / "bilby_pipe.ini"


@pytest.mark.slow
def test_the_example_is_simulated_and_converted(tmp_path):
    pytest.importorskip("bilby_pipe")
    programs = Path(sys.executable).parent
    done = subprocess.run(
        [programs / "bilby_pipe", CONFIGURATION, "--local", "--outdir", "out"],
        cwd=tmp_path,
        env=os.environ | {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "forward model: whitened strain of H1, L1, phase drawn" in done.stderr
    (path,) = (tmp_path / "out" / "result").glob("*_result.hdf5")
    result = bilby.read_in_result(str(path), result_class=bilby.gw.result.CBCResult)
    nbi = result.meta_data["nbi"]
    assert nbi["status"] == "ok" and nbi["seed"] == 1
    posterior = result.posterior
    for name, truth in {"chirp_mass": 28.0, "mass_ratio": 0.8, "luminosity_distance": 1500.0}.items():
        assert abs(posterior[name].mean() - truth) < 3 * posterior[name].std()
    # What bilby_pipe's conversion adds: the phase that was integrated out, and masses at the source.
    assert posterior["phase"].nunique() > 100
    assert (posterior["mass_1_source"] < posterior["mass_1"]).all()
