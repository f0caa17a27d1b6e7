"""The input photograph of every picture: a pagoda, from scikit-learn.

china.jpg, by danielbuechele, CC BY 2.0: https://www.flickr.com/photos/danielbuechele/6061409035
"""

import functools

import numpy as np
from sklearn.datasets import load_sample_image

CREDIT = (
    "Photograph: [danielbuechele](https://www.flickr.com/photos/danielbuechele/6061409035), "
    "[CC BY 2.0](https://creativecommons.org/licenses/by/2.0/), as it comes with scikit-learn."
)
_TOP, _LEFT, _SIDE = 24, 62, 288


@functools.cache
def pagoda(side: int = 96) -> np.ndarray:
    """The pagoda as `(1, side, side, 3)`, float32 from 0 to 1; `side` divides 288."""
    photo = load_sample_image("china.jpg")[_TOP : _TOP + _SIDE, _LEFT : _LEFT + _SIDE]
    return _shrunk(photo, side)


@functools.cache
def roof(side: int = 96) -> np.ndarray:
    """A crop of the roof, at the photograph's resolution."""
    photo = load_sample_image("china.jpg")[_TOP + 30 : _TOP + 30 + side, _LEFT + 60 :][:, :side]
    return _shrunk(photo, side)


def grey(image: np.ndarray) -> np.ndarray:
    """The luma of an image, one channel, with the weights of Rec. 601."""
    return image @ np.array([[0.299], [0.587], [0.114]], np.float32)


def _shrunk(photo: np.ndarray, side: int) -> np.ndarray:
    """The means of square blocks."""
    block = photo.shape[0] // side
    blocks = photo.reshape(side, block, side, block, 3).astype(np.float32) / 255
    return blocks.mean((1, 3))[None]
