"""The packages that can be compared, each with its adapter and the contents of its environment.

`inside/worker.py` describes adapters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["PACKAGES", "Package", "package_named"]

ADAPTERS = Path(__file__).parent / "inside"
# The version of constraints.txt, in every environment, so that only the packages differ.
TORCH = "torch==2.13.0"


@dataclass(frozen=True, kw_only=True)
class Package:
    """A package and its setup.

    Parameters
    ----------
    name : str
        Name in reports.
    adapter : Path
        Python file; see `inside/worker.py`.
    requirements : tuple of str
        Requirements of its environment, for pip; empty if it runs in this one.
    options : mapping
        Options of the adapter.
    latent : bool
        Whether it gets coordinates in which the prior is standard normal, as this package uses itself, or the
        parameters.
    """

    name: str
    adapter: Path
    requirements: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    latent: bool = False


_SBI = {"adapter": ADAPTERS / "sbi_npe.py", "requirements": ("sbi==0.27.0", TORCH)}
_ALL = (
    Package(name="nbi_sampler", adapter=ADAPTERS / "this_package.py", latent=True),
    Package(
        name="nbi_sampler-defaults",
        adapter=ADAPTERS / "this_package.py",
        options={"defaults": True},
        latent=True,
    ),
    Package(name="sbi-maf", options={"density_estimator": "maf"}, **_SBI),  # type: ignore[arg-type]
    Package(name="sbi-nsf", options={"density_estimator": "nsf"}, **_SBI),  # type: ignore[arg-type]
    Package(
        name="bayesflow", adapter=ADAPTERS / "bayesflow_npe.py", requirements=("bayesflow==2.0.12", TORCH)
    ),
    Package(name="original-nbi", adapter=ADAPTERS / "original_nbi.py", requirements=("nbi==0.4.1", TORCH)),
)
PACKAGES: dict[str, Package] = {package.name: package for package in _ALL}


def package_named(name: str) -> Package:
    """One of `PACKAGES`, or a user's adapter by the path of its file, which runs in this environment.

    Raises
    ------
    ValueError
        If there is neither.
    """
    if name in PACKAGES:
        return PACKAGES[name]
    path = Path(name)
    if path.suffix == ".py" and path.is_file():
        return Package(name=path.stem, adapter=path.resolve())
    raise ValueError(f"packages: expected some of {', '.join(PACKAGES)} or an adapter (.py), got {name!r}")
