"""Run the examples, and put their numbers and pictures into the documentation.

    python docs/figures/make_gallery.py [NAME ...]

Every script takes up to five minutes of processor time. What a script prints is kept in
build/printed/NAME.txt, and it is not run again while this file exists. The numbers go to
docs/figures/gallery.json and to docs/gallery.md and docs/surveys.md, and the pictures to
docs/figures/gallery/. A test compares the pages with gallery.json.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from gallery_facts import FACTS
from page_numbers import phrases, replaced
from PIL import Image

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
PRINTED = ROOT / "build" / "printed"
NUMBERS = HERE / "gallery.json"
# As sharp on a page, and a third of the bytes. The default method would merge colours of
# thin lines.
COLOURS = 64

SCRIPTS = {path.stem: path for path in sorted((ROOT / "examples").glob("*.py"))} | {
    "four_parameters": ROOT / "plugins/gravitational_waves/examples/four_parameters.py"
}
PICTURES = {
    "ogle_2008_blg_092": "demo/ogle-2008-blg-092_light_curve.png",
    "survey_microlensing": "survey/recovery.png",
    "four_parameters": "four_parameters/four_parameters.png",
}


def main(names: list[str]) -> None:
    """Run scripts, write their numbers, mend the pages, and copy the pictures."""
    PRINTED.mkdir(parents=True, exist_ok=True)
    known = json.loads(NUMBERS.read_text()) if NUMBERS.exists() else {}
    for name in names or list(FACTS):
        known[name] = phrases(FACTS[name], printed_by(name))
        for page, phrase in known[name]:
            place = HERE.parent / page
            place.write_text(replaced(place.read_text(), name, phrase))
        copy_picture(name)
    NUMBERS.write_text(json.dumps(known, indent=2, ensure_ascii=False) + "\n")


def printed_by(name: str) -> str:
    """Output of a script with its log, from build/printed or from a run."""
    kept = PRINTED / f"{name}.txt"
    if not kept.exists():
        done = subprocess.run(
            [sys.executable, str(SCRIPTS[name])],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=True,
        )
        kept.write_text(done.stdout)
    return kept.read_text()


def copy_picture(name: str) -> None:
    """Copy the picture of a script with fewer colours, if it is there."""
    made = ROOT / "build" / PICTURES.get(name, f"gallery/{name}/{name}.png")
    if made.exists():
        picture = Image.open(made).convert("RGB")
        picture = picture.quantize(COLOURS, method=Image.Quantize.FASTOCTREE)
        picture.save(HERE / "gallery" / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main(sys.argv[1:])
