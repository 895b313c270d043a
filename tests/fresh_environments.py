"""Environments of their own for tests that install something: packages from here, nothing downloaded."""

from __future__ import annotations

import os
import subprocess
import sysconfig
import venv


def fresh_python(folder):
    """Interpreter of a new environment in ``folder / "env"``."""
    venv.create(folder / "env", with_pip=False)
    python = folder / "env" / ("Scripts" if os.name == "nt" else "bin") / "python"
    (site,) = call(
        python, folder, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"
    ).splitlines()
    seen = sysconfig.get_path("purelib")
    with open(os.path.join(site, "seen.pth"), "w") as file:
        file.write(f"import site; site.addsitedir({seen!r})\n")
    return python


def call(python, folder, *words):
    """Standard output of a command of an interpreter, run in a folder."""
    # What is under test must be found where it is installed, not in the folder that it was built in.
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [python, *words], cwd=folder, env=clean, capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout
