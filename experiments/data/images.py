"""Decodes one image from a file or from bytes with Pillow; errors name its source."""

import io
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from experiments.data.dataset import DataError

FORMATS = frozenset({"JPEG", "PNG"})
"""What records may hold."""


def read_image(
    source: Path | bytes,
    place: str,
    size: tuple[int, int],
    channels: int,
    *,
    resize: bool = True,
) -> NDArray[np.uint8]:
    """Decodes an image.

    Args:
        source: A file in any format that Pillow reads, or the bytes of a PNG or JPEG file.
        place: The name of the image in error messages.
        size: Height and width of the result.
        channels: 3 for colour, 1 for grey.
        resize: Whether to resize an image of another size; False raises an error.

    Returns:
        Array (height, width, channels).

    Raises:
        DataError: The image is too large, of another size, broken, or not an image.
    """
    height, width = size
    opened = source if isinstance(source, Path) else io.BytesIO(source)
    formats = None if isinstance(source, Path) else [*FORMATS]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(opened, formats=formats) as image:
                found = image.convert("L" if channels == 1 else "RGB")
                if resize:
                    found = found.resize((width, height), Image.Resampling.BILINEAR)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(
            f"{place}: found a larger image than is read; expected at most "
            f"{Image.MAX_IMAGE_PIXELS:,} pixels. Remove it, or make it smaller"
        ) from error
    except UnidentifiedImageError as error:
        readable = "one that Pillow can read" if formats is None else "a PNG or JPEG image"
        raise DataError(
            f"{place}: found a file that is no image; expected {readable}. Remove it, or replace it"
        ) from error
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(
            f"{place}: found a broken image ({error}); expected an intact one. Remove it, or "
            "replace it"
        ) from error
    if found.size != (width, height):
        raise DataError(
            f"{place}: found an image of {found.height}x{found.width}; expected {height}x{width}"
        )
    return np.asarray(found, np.uint8).reshape(height, width, channels)
