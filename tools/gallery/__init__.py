"""The gallery: docs/operators.md and its pictures, made from the catalogue and the docstrings.

docstring.py    what an operator says of itself
guide.py        which operator is for what
costs.py        what the benchmark's records say
pictures/       what operators do to a photograph
page.py         all of it on one page
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
    """The page as it should be.

    Args:
        root: The repository.

    Returns:
        Markdown.
    """
    return page(Costs.read(root / _CONFIG, root / _RESULTS))


def refresh(root: Path) -> list[Path]:
    """Brings the page and its pictures up to date.

    Args:
        root: The repository.

    Returns:
        The files that were not.
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
