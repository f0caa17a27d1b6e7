"""Pooling operators for JAX with exact values and derivatives, and fast programs.

Arrays are channels-last, `(*batch, *spatial, channels)`; for other layouts pass `axes=`. An int
`window_shape` reads a 3-D array as (batch, length, channels); `(2, 2)` pools one image (height,
width, channels). See `jaxpool.nn` for Flax NNX modules, `jaxpool.compat` for drop-ins and
`help(jaxpool.max_pool)` for the arguments that all windowed operators share.
"""

from jaxpool.export import portable
from jaxpool.pooling import *  # noqa: F403 - pooling/__init__.py is the list of public operators
from jaxpool.pooling import __all__ as _operators
from jaxpool.pooling.bins.fractional import fractional_samples
from jaxpool.version import __version__

__all__ = ["__version__", "fractional_samples", "portable", *_operators]  # pyright: ignore[reportUnsupportedDunderAll]
