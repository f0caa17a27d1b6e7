"""Composes one scene: a background, items on it, and proposals of where items may be."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from experiments import boxes

OBJECT_IOU = 0.5
"""A proposal that overlaps an item by so much is a region of that item, as in Fast R-CNN."""
LARGEST_STRETCH = 1.15
"""Sides of items are drawn from `1 / LARGEST_STRETCH` to this times their scale."""

_BACKGROUND_IOU = 0.3
_PLACES = 20
_LARGEST_COVER = 0.1
_DARK = 32
_CANDIDATES = 32


class Scene(NamedTuple):
    """A scene.

    Attributes:
        image: Brightness (S, S), float32 from 0 to 1.
        boxes: The box of each item (M, 4), float32.
        classes: Its class (M,), int32 from 0.
        sizes: Which of the scales it has (M,), int32 from 0.
    """

    image: NDArray[np.float32]
    boxes: NDArray[np.float32]
    classes: NDArray[np.int32]
    sizes: NDArray[np.int32]


def compose(
    random: np.random.Generator,
    images: NDArray[np.uint8],
    classes: NDArray[np.uint8],
    size: int,
    most: int,
    scales: tuple[int, ...],
) -> Scene:
    """Draws a scene.

    An item is cut out to its tight box, resized, dimmed, and put where it covers at most a tenth of
    any other item's box (and they of its). An item that finds no such place in 20 tries is left
    out; the first, which is the largest, always finds one.

    Args:
        random: What decides everything.
        images: The items to choose from (N, H, W).
        classes: Their classes (N,).
        size: Side of the scene.
        most: The largest number of items; from one to so many are drawn.
        scales: Lengths of the longer side of an item.

    Returns:
        The scene.
    """
    canvas = _background(random, images, size)
    count = random.integers(1, most + 1)
    found: list[tuple[list[int], int, int]] = []
    for kind in sorted(random.integers(0, len(scales), count).tolist(), reverse=True):
        number = int(random.integers(len(images)))
        stretch = LARGEST_STRETCH ** random.uniform(-1, 1)
        item = _resized(_cut_out(images[number]), scales[kind] * stretch)
        place = _place(random, item.shape, np.array([box for box, _, _ in found]), size)
        if place is None:
            continue
        _lay(canvas, item * random.uniform(0.5, 1), place)
        x, y = place
        found.append(([x, y, x + item.shape[1], y + item.shape[0]], int(classes[number]), kind))
    canvas += random.normal(0, 0.04, canvas.shape)
    where, what, kinds = zip(*found, strict=True)
    return Scene(
        np.clip(canvas, 0, 1).astype(np.float32),
        np.array(where, np.float32),
        np.array(what, np.int32),
        np.array(kinds, np.int32),
    )


def propose(
    random: np.random.Generator,
    truth: NDArray[np.float32],
    count: int,
    size: int,
    scales: tuple[int, ...],
) -> NDArray[np.float32]:
    """Draws proposals of regions: the first half near the items, the others in the background.

    A proposal near an item is its box, moved by up to 0.3 of its sides and stretched by up to a
    factor of `exp(0.3)` along each axis, drawn again until it overlaps the item by `OBJECT_IOU`.
    A background proposal has the size of an item and overlaps no item by 0.3. If none of 32 drawn
    boxes does so, the one with the least overlap is taken.

    Args:
        random: What decides everything.
        truth: The boxes of the items (M, 4).
        count: How many proposals.
        size: Side of the scene.
        scales: Lengths of the longer side of an item.

    Returns:
        Boxes (count, 4).
    """
    near = (count + 1) // 2
    own = truth[np.arange(near) % len(truth)][:, None]
    extent = own[..., 2:] - own[..., :2]
    shape = (near, _CANDIDATES, 2)
    centre = own[..., :2] + extent / 2 + random.uniform(-0.3, 0.3, shape) * extent
    moved = _around(centre, extent * np.exp(random.uniform(-0.3, 0.3, shape)), size)
    moved = np.concatenate([moved, own], axis=1)  # the last resort: the item's own box
    chosen = (boxes.iou(moved, own) >= OBJECT_IOU).argmax(1)

    shape = (count - near, _CANDIDATES, 1)
    longer = np.exp(random.uniform(np.log(scales[0]), np.log(scales[-1]), shape))
    aspect = np.exp(random.uniform(-0.7, 0.7, shape))
    sides = longer * np.concatenate([np.minimum(aspect, 1), np.minimum(1 / aspect, 1)], axis=-1)
    anywhere = _around(
        sides / 2 + random.uniform(0, 1, (*shape[:2], 2)) * (size - sides), sides, size
    )
    most = boxes.iou(anywhere[:, :, None], truth).max(-1)
    clear = np.where(most < _BACKGROUND_IOU, 0, most).argmin(1)
    return np.concatenate(
        [moved[np.arange(near), chosen], anywhere[np.arange(count - near), clear]]
    ).astype(np.float32)


def labelled(proposals: NDArray[np.float32], scene: Scene) -> dict[str, NDArray[np.generic]]:
    """What each proposal is a region of: the item that it overlaps most, by `OBJECT_IOU` at least.

    Args:
        proposals: Boxes (R, 4).
        scene: The scene.

    Returns:
        `class` (R,), 0 for background, else one more than the item's class; `box` (R, 4), the
        item's box, of background the proposal itself; `target` (R, 4), the deltas to that box;
        `size` (R,), which of the scales the item has, -1 for background.
    """
    overlap = boxes.iou(proposals[:, None], scene.boxes)
    item = overlap.argmax(1)
    is_object = overlap.max(1) >= OBJECT_IOU
    box = np.where(is_object[:, None], scene.boxes[item], proposals)
    return {
        "class": np.where(is_object, scene.classes[item] + 1, 0).astype(np.int32),
        "box": box.astype(np.float32),
        "target": boxes.encode(proposals, box).astype(np.float32),
        "size": np.where(is_object, scene.sizes[item], -1).astype(np.int32),
    }


def _background(
    random: np.random.Generator, images: NDArray[np.uint8], size: int
) -> NDArray[np.float64]:
    """Soft light and shade, and on it faint fragments of items."""
    shade = Image.fromarray(random.uniform(0, 0.3, (6, 6)).astype(np.float32))
    canvas = np.asarray(shade.resize((size, size), Image.Resampling.BICUBIC), np.float64).copy()
    for _ in range(random.integers(4, 9)):
        item = images[random.integers(len(images))]
        height, width = (min(int(n), *item.shape, size) for n in random.integers(5, 15, 2))
        y, x = (
            random.integers(whole - part + 1)
            for whole, part in zip(item.shape, (height, width), strict=True)
        )
        fragment = item[y : y + height, x : x + width] / 255 * random.uniform(0.3, 0.6)
        left, top = random.integers(size - width + 1), random.integers(size - height + 1)
        _lay(canvas, fragment, (int(left), int(top)))
    return canvas


def _cut_out(item: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The part of an image that is not dark; all of it, if it is dark everywhere."""
    rows, columns = (np.flatnonzero((item > _DARK).any(axis)) for axis in (1, 0))
    if not len(rows):
        return item
    return item[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _resized(item: NDArray[np.uint8], side: float) -> NDArray[np.float64]:
    """The item with a longer side of so many pixels, from 0 to 1; shrunk without aliasing."""
    factor = side / max(item.shape)
    height, width = (max(round(n * factor), 2) for n in item.shape)
    image = Image.fromarray(np.ascontiguousarray(item))
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR), np.float64) / 255


def _place(
    random: np.random.Generator, shape: tuple[int, ...], others: NDArray[np.int64], size: int
) -> tuple[int, int] | None:
    """Left and top of a free place; None if there was none in so many tries."""
    height, width = shape
    for _ in range(_PLACES):
        x, y = int(random.integers(size - width + 1)), int(random.integers(size - height + 1))
        if not len(others):
            return x, y
        box = np.array([x, y, x + width, y + height])
        both = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
        smaller = np.minimum(boxes.area(box), boxes.area(others))
        if (np.prod(np.maximum(both, 0), axis=-1) <= _LARGEST_COVER * smaller).all():
            return x, y
    return None


def _lay(canvas: NDArray[np.float64], item: NDArray[np.float64], place: tuple[int, int]) -> None:
    """Puts an item on a canvas where it is the brighter of the two, for items come on black."""
    x, y = place
    part = canvas[y : y + item.shape[0], x : x + item.shape[1]]
    np.maximum(part, item, out=part)


def _around(centre: NDArray[Any], extent: NDArray[Any], size: int) -> NDArray[Any]:
    """Boxes of a centre and an extent, cut off at the edges of the scene."""
    return np.clip(np.concatenate([centre - extent / 2, centre + extent / 2], axis=-1), 0, size)
