"""Print the oldest version of every requirement that setup.cfg allows, as constraints for pip.

python .ci/oldest.py > oldest.txt
pip install -c oldest.txt -e ".[tests]"
"""

from __future__ import annotations

import configparser
from pathlib import Path

SETUP = Path(__file__).parents[1] / "setup.cfg"


def oldest() -> list[str]:
    """Return a constraint for each requirement of the package that has a lower bound."""
    parser = configparser.ConfigParser()
    parser.read(SETUP, encoding="utf-8")
    wanted = parser["options"]["install_requires"].split()
    return [each.replace(">=", "==") for each in wanted if ">=" in each]


if __name__ == "__main__":
    print("\n".join(oldest()))
