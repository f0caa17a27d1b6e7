"""What a study's TOML file may say, and how it is read."""

from experiments.config.loading import ConfigError, differences, dump, load
from experiments.config.schema import Measurement, Pool, Study, Training

__all__ = [
    "ConfigError",
    "Measurement",
    "Pool",
    "Study",
    "Training",
    "differences",
    "dump",
    "load",
]
