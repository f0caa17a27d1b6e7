import io
from itertools import combinations

import matplotlib.image
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from experiments.report import labels, plots


def test_the_pareto_front_contains_undominated_variants(make_rows):
    study = make_rows(
        {"a": [950, 951], "b": [930, 932], "c": [910, 911], "d": [950, 951], "e": [900, 900]},
        speeds={"a": 1000, "b": 3000, "c": 2000, "d": 900, "e": 3000},
    )
    assert [row.variant for row in plots.best_means(study)] == ["a", "b"]


def test_a_variant_is_dominated_only_beyond_the_intervals(make_rows):
    study = make_rows(
        {"a": [950, 951, 949], "b": [930, 931, 929], "c": [940, 960, 920], "d": [930, 931, 929]},
        speeds={"a": 1000, "b": 900, "c": 900, "d": 985},
    )
    # b is slower and less accurate; c's accuracy, and d's speed, cannot be told from a's.
    assert [row.variant for row in plots.pareto_front(study)] == ["c", "d", "a"]


def test_equal_variants_are_both_on_the_front(make_rows):
    study = make_rows({"a": [950, 951], "b": [951, 950]})
    assert {row.variant for row in plots.pareto_front(study)} == {"a", "b"}


@pytest.mark.parametrize(
    ("correct", "speeds"),
    [
        ({"max_pool": [950, 953, 951], "none": [930, 932, 932]}, {"none": 500}),
        ({"max_pool": [950]}, {}),
        ({"max_pool": [1000, 1000], "avg_pool": [0, 0]}, {}),
        ({f"variant_{i}": [900 + i, 910 - i] for i in range(12)}, {"variant_3": 1e7}),
    ],
)
def test_pareto_png_is_a_picture_with_something_on_it(make_rows, correct, speeds):
    image = matplotlib.image.imread(
        io.BytesIO(plots.pareto("title", make_rows(correct, speeds=speeds)))
    )
    assert image.shape == (750, 1200, 4)
    coloured = np.ptp(image[..., :3], axis=-1) > 0.2
    assert coloured.sum() > 100


def test_palette_and_markers_tell_many_variants_apart():
    looks = {
        (plots.COLOURS[i % len(plots.COLOURS)], plots.MARKERS[i % len(plots.MARKERS)])
        for i in range(56)
    }
    assert len(looks) == 56


@pytest.mark.parametrize(("low", "high"), [(9e3, 6e4), (9.8e3, 1.03e4), (1, 1e6), (700, 1500)])
def test_ticks_are_few_round_and_inside(low, high):
    ticks = plots.log_ticks(low, high)
    assert 2 <= len(ticks) <= 20
    assert all(low <= tick <= high for tick in ticks)
    assert all(float(f"{tick:.3g}") == pytest.approx(tick) for tick in ticks)


def test_labels_of_crowded_points_do_not_overlap():
    figure = Figure(figsize=(8, 5), dpi=100)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    points = [(0.5 + 0.004 * i, 0.5 - 0.003 * i) for i in range(8)]
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    canvas.draw()
    marks = [Bbox([centre - 5, centre + 5]) for centre in axes.transData.transform(points)]
    names = [f"variant_{i}" for i in range(8)]
    notes = labels.place(axes, canvas, names, points, marks, [(0.0, 0.0, 0.0)] * 8)
    extents = [note.get_window_extent() for note in notes]
    assert not any(one.overlaps(other) for one, other in combinations(extents, 2))
    assert not any(extent.overlaps(mark) for extent in extents for mark in marks)
    frame = axes.get_window_extent()
    assert all(frame.containsx(e.x0) and frame.containsx(e.x1) for e in extents)
