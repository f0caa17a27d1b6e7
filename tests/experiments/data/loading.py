"""Loads a dataset as a config that names it would."""

from experiments import data


def load(name, directory=None):
    return data.datasets()[name](name=name, directory=directory).load()
