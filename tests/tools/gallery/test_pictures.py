import io
from pathlib import Path

import numpy as np
import pytest
from matplotlib import image

from catalogue import CATALOGUE
from tools import gallery
from tools.gallery import pictures
from tools.gallery.pictures.photo import grey, pagoda
from tools.gallery.pictures.places import dots
from tools.gallery.pictures.strip import SIDE, Box, Panel, strip

ROOT = Path(__file__).parents[3]
TOLERANCE = 0.01  # mean difference of colours in [0, 1]; library versions draw letters differently


X = np.array([[[[0.0, 0.5, 1.0], [1.0, 0.0, 0.0]], [[0.0, 1.0, 0.0], [0.2, 0.2, 0.2]]]])


def pixels(png):
    return image.imread(io.BytesIO(png))


def alike(*pngs):
    a, b = (pixels(png)[..., :3] for png in pngs)
    return a.shape == b.shape and np.abs(a - b).mean() < TOLERANCE


def panel(**extra):
    """A panel of 2 by 2 elements, each drawn as a square of SIDE / 2 pixels."""
    shown = pixels(strip(Panel("x", X, "a note", **extra)))
    return shown[-14 - SIDE : -14, 14 : 14 + SIDE, :3]


def test_an_element_is_a_square_of_its_colour():
    blocks = panel().reshape(2, SIDE // 2, 2, SIDE // 2, 3)
    np.testing.assert_allclose(
        blocks, np.broadcast_to(X[0][:, None, :, None], blocks.shape), atol=0.01
    )


@pytest.mark.parametrize(
    ("extra", "row", "column"),
    [
        ({"rows": [0.5]}, SIDE // 4, 10),
        ({"columns": [0.5]}, 10, SIDE // 4),
        ({"dots": [(1, 0)]}, 3 * SIDE // 4, SIDE // 4),
        ({"boxes": [Box((0.5, 0.25, 1.5, 1.75))]}, SIDE // 2, SIDE // 4),
        ({"boxes": [Box((0.0, 0.0, 1.0, 2.0), (1, 2))]}, 3 * SIDE // 4, SIDE // 4),
    ],
)
def test_marks_stand_where_they_should(extra, row, column):
    marked = np.abs(panel(**extra) - panel()).max(-1) > 0.2
    assert marked[row - 1 : row + 2, column - 1 : column + 2].any()
    assert marked.mean() < 0.1


def test_numbers_stand_in_their_elements():
    marked = np.abs(panel(numbers=np.array([[1, 2], [3, 8]])) - panel()).max(-1) > 0.2
    assert (marked.reshape(2, SIDE // 2, 2, SIDE // 2).sum((1, 3)) > 5).all()


def test_the_photograph_is_shrunk_by_means():
    large, small = pagoda(288), pagoda(96)
    assert (large.shape, small.shape) == ((1, 288, 288, 3), (1, 96, 96, 3))
    np.testing.assert_allclose(small[0, 5, 7], large[0, 15:18, 21:24].mean((0, 1)), atol=1e-6)
    assert grey(small).shape == (1, 96, 96, 1)
    assert grey(np.ones((1, 1, 1, 3), np.float32)) == pytest.approx(1)


def test_dots_stand_where_indices_point():
    assert dots(np.array([[0], [13]]), 5) == [(0, 0), (2, 3)]


def test_there_is_a_picture_of_every_operator():
    for operator in CATALOGUE:
        picture = gallery.picture_of(ROOT, operator)
        height, width, _ = pixels(picture.read_bytes()).shape
        assert height > SIDE
        assert width >= 2 * SIDE
        assert picture.stat().st_size < 40_000


@pytest.mark.parametrize("operator", ["max_pool", "sum_pool"])
def test_committed_pictures_are_up_to_date(operator):
    drawn, kept = pictures.draw(operator), gallery.picture_of(ROOT, operator).read_bytes()
    assert alike(drawn, kept)


def test_pictures_of_different_operators_differ():
    names = ("max_pool", "min_pool", "avg_pool", "gem_pool", "lp_pool", "logsumexp_pool")
    kept = [gallery.picture_of(ROOT, name).read_bytes() for name in names]
    assert [[alike(a, b) for b in kept] for a in kept] == np.eye(len(kept)).tolist()


def test_an_operator_without_a_picture_is_named():
    with pytest.raises(KeyError, match=r"no_pool has no picture: give its entry in .* one"):
        pictures.draw("no_pool")


def test_the_panels_of_an_entry_show_its_operator():
    for name, entry in CATALOGUE.items():
        assert not entry.picture or any(f"{name}(" in call for call in entry.picture), name
