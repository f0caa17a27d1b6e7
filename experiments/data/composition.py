"""Composition of a scene: a background, items on it, and proposals of item positions."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from experiments import boxes

OBJECT_IOU = 0.5
"""Minimum IoU of a proposal with an item to be a region of the item, as in Fast R-CNN."""
LARGEST_STRETCH = 1.15
"""The sides of items are drawn between `scale / LARGEST_STRETCH` and `scale * LARGEST_STRETCH`."""

_BACKGROUND_IOU = 0.3
_PLACES = 20
_LARGEST_COVER = 0.1
_DARK = 32
_CANDIDATES = 32


class Scene(NamedTuple):
    """A scene with the ground truth of its items.

    Attributes:
        image: Brightness (S, S), float32 from 0 to 1.
        boxes: The box of each item (M, 4), float32.
        classes: The class of each item (M,), int32 from 0.
        sizes: The index of each item's scale (M,), int32 from 0.
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

    An item is cropped to its tight box, resized, dimmed, and placed where it covers at most a tenth
    of any other item's box, and no other item covers more than a tenth of its box. An item without
    such a place after 20 tries is left out; the first item, the largest, always has one.

    Args:
        random: The random generator.
        images: The items to choose from (N, H, W).
        classes: Their classes (N,).
        size: Side of the scene in pixels.
        most: Maximum number of items; at least one is drawn.
        scales: Lengths of the longer side of an item in pixels.

    Returns:
        The scene.
    """
    canvas = _background(random, images, size)
    count = random.integers(1, most + 1)
    found: list[tuple[list[int], int, int]] = []
    for kind in sorted(random.integers(0, len(scales), count).tolist(), reverse=True):
        number = int(random.integers(len(images)))
        stretch = LARGEST_STRETCH ** random.uniform(-1, 1)
        item = _resized(_cropped(images[number]), scales[kind] * stretch)
        place = _free_position(random, item.shape, np.array([box for box, _, _ in found]), size)
        if place is None:
            continue
        _paste(canvas, item * random.uniform(0.5, 1), place)
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

    A proposal near an item is the item's box, moved by up to 0.3 of its sides and stretched by up
    to a factor of `exp(0.3)` along each axis, and drawn again until its IoU with the item is at
    least `OBJECT_IOU`; after 32 boxes, the item's box itself is used. A background proposal has the
    size of an item and an IoU below 0.3 with every item; after 32 boxes, the one with the smallest
    IoU is used.

    Args:
        random: The random generator.
        truth: The boxes of the items (M, 4).
        count: Number of proposals.
        size: Side of the scene in pixels.
        scales: Lengths of the longer side of an item in pixels.

    Returns:
        Boxes (count, 4).
    """
    near = (count + 1) // 2
    own = truth[np.arange(near) % len(truth)][:, None]
    extent = own[..., 2:] - own[..., :2]
    shape = (near, _CANDIDATES, 2)
    centre = own[..., :2] + extent / 2 + random.uniform(-0.3, 0.3, shape) * extent
    moved = _around(centre, extent * np.exp(random.uniform(-0.3, 0.3, shape)), size)
    moved = np.concatenate([moved, own], axis=1)  # fallback: the item's own box
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
    """The labels of proposals: a proposal belongs to the item of highest IoU, or to the background.

    Args:
        proposals: Boxes (R, 4).
        scene: The scene.

    Returns:
        `class` (R,): 0 for background, otherwise the item's class plus 1; `box` (R, 4): the item's
        box, or the proposal itself for background; `target` (R, 4): the deltas from the proposal to
        `box`; `size` (R,): the index of the item's scale, -1 for background. A proposal is
        background if its highest IoU is below `OBJECT_IOU`.
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
    """A background of soft shades with faint fragments of items."""
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
        _paste(canvas, fragment, (int(left), int(top)))
    return canvas


def _cropped(item: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Crops an image to the bounding box of its bright pixels; an all-dark image stays whole."""
    rows, columns = (np.flatnonzero((item > _DARK).any(axis)) for axis in (1, 0))
    if not len(rows):
        return item
    return item[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _resized(item: NDArray[np.uint8], side: float) -> NDArray[np.float64]:
    """The item resized to a longer side of `side` pixels, from 0 to 1, without aliasing."""
    factor = side / max(item.shape)
    height, width = (max(round(n * factor), 2) for n in item.shape)
    image = Image.fromarray(np.ascontiguousarray(item))
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR), np.float64) / 255


def _free_position(
    random: np.random.Generator, shape: tuple[int, ...], others: NDArray[np.int64], size: int
) -> tuple[int, int] | None:
    """Left and top of a free position; None if no try finds one."""
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


def _paste(canvas: NDArray[np.float64], item: NDArray[np.float64], place: tuple[int, int]) -> None:
    """Draws an item on a canvas by the maximum of both, since items have a black background."""
    x, y = place
    part = canvas[y : y + item.shape[0], x : x + item.shape[1]]
    np.maximum(part, item, out=part)


def _around(centre: NDArray[Any], extent: NDArray[Any], size: int) -> NDArray[Any]:
    """Boxes from centres and extents, clipped to the scene."""
    return np.clip(np.concatenate([centre - extent / 2, centre + extent / 2], axis=-1), 0, size)
