"""Copy the pictures of examples that have been run, build/gallery/NAME/NAME.png, to docs/figures/gallery/.

    python docs/figures/make_gallery.py

To be started where the examples were.
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image

HERE = Path(__file__).parent
COLOURS = 64  # as sharp on a page, and a third of the bytes


def main() -> None:
    """Copy each with fewer colours."""
    for folder in sorted(Path("build/gallery").iterdir()):
        name = f"{folder.name}.png"
        if (folder / name).exists():
            picture = Image.open(folder / name).convert("RGB").quantize(COLOURS)
            picture.save(HERE / "gallery" / name, optimize=True)
            print(f"{name}: {(HERE / 'gallery' / name).stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
