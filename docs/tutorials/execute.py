"""Execute the tutorials, and keep what they print and draw in the notebooks.

    python docs/tutorials/execute.py [NAME ...]

Needs nbclient and ipykernel, which the extra "docs" brings. Takes minutes. Files of the runs go to a
temporary folder. Warnings are not kept, because they name files of one machine.
"""

from __future__ import annotations

import base64
import io
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from PIL import Image

HERE = Path(__file__).parent
KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}


def main() -> None:
    """Execute the named notebooks, or all."""
    for path in [HERE / f"{name}.ipynb" for name in sys.argv[1:]] or sorted(
        HERE.glob("*.ipynb")
    ):
        notebook = nbformat.read(path, as_version=4)
        with tempfile.TemporaryDirectory() as folder:
            place = {"metadata": {"path": folder}}
            NotebookClient(notebook, timeout=1200, resources=place).execute()
        tidy(notebook)
        nbformat.write(notebook, path)
        print(path.name)


def tidy(notebook: Any) -> None:
    """Drop what differs from machine to machine, and make pictures small."""
    notebook.metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [
                each for each in cell.outputs if each.get("name") != "stderr"
            ]
            for output in cell.outputs:
                data = output.get("data", {})
                if "image/png" in data:
                    data["image/png"] = smaller(data["image/png"])


def smaller(png: str) -> str:
    """A picture of at most 64 colours, as text."""
    picture = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
    written = io.BytesIO()
    picture.quantize(64).save(written, "png", optimize=True)
    return base64.b64encode(written.getvalue()).decode()


if __name__ == "__main__":
    main()
