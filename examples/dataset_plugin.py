r"""Your own dataset: 16x16 images of rings and discs of random size and position, with noise.

    python -m experiments run examples/plugins.toml --plugin examples/dataset_plugin.py \
        --plugin examples/pooling_plugin.py --plugin examples/model_plugin.py

The command line names this file; the config names the dataset that it registers.
"""

import numpy as np

from experiments import register
from experiments.data import Dataset, DatasetInfo, DatasetOptions, standardised
from experiments.section import PositiveInt, Seed


@register.dataset("rings")
class Rings(DatasetOptions):
    """`[dataset] name = "rings"`. Each field is a key of `[dataset]`, with its type and default.

    Attributes:
        examples: Number of training images; the test set has half as many.
        noise: Standard deviation of the noise.
        seed: Seed of the random images.
    """

    name: str = "rings"
    examples: PositiveInt = 400
    noise: float = 0.3
    seed: Seed = 0

    def describe(self) -> DatasetInfo:
        """Shapes and sizes; draws no images."""
        return DatasetInfo(
            input_shape=(16, 16, 1),
            classes=2,
            train_size=self.examples,
            test_size=self.examples // 2,
        )

    def load(self) -> Dataset:
        """Draws and standardises the images."""
        random = np.random.default_rng(self.seed)
        parts = [self._draw(random, size) for size in (self.examples, self.examples // 2)]
        return standardised("rings", train=parts[0], test=parts[1], classes=2)

    def _draw(self, random: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
        labels = random.integers(0, 2, size)
        radius = random.uniform(3, 6, (size, 1, 1))
        row, column = random.uniform(6, 10, (2, size, 1, 1))
        grid = np.arange(16)
        distance = np.hypot(grid[:, None] - row, grid - column)
        ring = np.abs(distance - radius) < 1
        shapes = np.where(labels[:, None, None] == 1, distance < radius, ring)
        return (shapes + random.normal(0, self.noise, shapes.shape))[..., None], labels
