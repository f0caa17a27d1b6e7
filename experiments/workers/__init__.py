"""Training in worker processes, on this machine (`local`) or on a cluster (`dask`)."""

from experiments.workers.dask import dask
from experiments.workers.farm import Workers, farm
from experiments.workers.local import local
from experiments.workers.task import TrainingTask

__all__ = ["TrainingTask", "Workers", "dask", "farm", "local"]
