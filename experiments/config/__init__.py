"""Sections of a study's TOML file, and its loader."""

from experiments.config.loading import ConfigError, differences, dump, load
from experiments.config.schema import Study
from experiments.config.training import Measurement, Training
from experiments.config.tuning import Search, Tuning, network_name
from experiments.config.variant import Pool

__all__ = [
    "ConfigError",
    "Measurement",
    "Pool",
    "Search",
    "Study",
    "Training",
    "Tuning",
    "differences",
    "dump",
    "load",
    "network_name",
]
