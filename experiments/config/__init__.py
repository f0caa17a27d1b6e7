"""Sections of a study's TOML file, and its loader."""

from experiments.config.loading import ConfigError, differences, dump, load
from experiments.config.schema import Study
from experiments.config.training import MeasurementOptions, Training
from experiments.config.tuning import Search, Tuning, network_name
from experiments.config.variant import PoolOptions

__all__ = [
    "ConfigError",
    "MeasurementOptions",
    "PoolOptions",
    "Search",
    "Study",
    "Training",
    "Tuning",
    "differences",
    "dump",
    "load",
    "network_name",
]
