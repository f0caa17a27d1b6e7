"""The gallery: generates docs/operators.md and its pictures from the catalogue and the docstrings.

docstring.py    reads the parts of an operator's docstring
guide.py        which operator suits which purpose
costs.py        reads the costs from the benchmark's records
pictures/       draws the effect of each operator on a photograph
page.py         renders the page
"""

from pathlib import Path

from catalogue import CATALOGUE
from experiments.records import write_atomically
from tools.gallery import pictures
from tools.gallery.costs import Costs
from tools.gallery.page import page

__all__ = ["PAGE", "refresh", "text"]

PAGE = Path("docs/operators.md")
_CONFIG = Path("configs/bench/operators.toml")
_RESULTS = Path("results/bench-operators")


def text(root: Path) -> str:
    """Renders the page from the current docstrings and records.

    Args:
        root: The repository.

    Returns:
        Markdown.
    """
    return page(Costs.read(root / _CONFIG, root / _RESULTS))


def refresh(root: Path) -> list[Path]:
    """Updates the page and its pictures.

    Args:
        root: The repository.

    Returns:
        The files that were out of date.
    """
    changed = []
    file, new = root / PAGE, text(root)
    if not file.is_file() or file.read_text(encoding="utf-8") != new:
        write_atomically(file, new)
        changed.append(file)
    for operator in CATALOGUE:
        picture, drawn = picture_of(root, operator), pictures.draw(operator)
        if not picture.is_file() or picture.read_bytes() != drawn:
            write_atomically(picture, drawn)
            changed.append(picture)
    return changed


def picture_of(root: Path, operator: str) -> Path:
    """The file of an operator's picture."""
    return (root / PAGE).with_suffix("") / f"{operator}.png"
