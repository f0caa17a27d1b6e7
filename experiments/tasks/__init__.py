"""The tasks, one file each: what turns a dataset and a network into a loss, metrics and a table.

A task is a section of a config, `[task]`, whose methods are pure functions of arrays; adding one is
a new file and a line in `TASKS`. A config that names none gets the dataset's own.
"""

from experiments.tasks.classification import Classification
from experiments.tasks.detection import Detection
from experiments.tasks.summarization import Summarization
from experiments.tasks.task import METRICS, Metric, Scores, TaskOptions

__all__ = [
    "METRICS",
    "TASKS",
    "Classification",
    "Detection",
    "Metric",
    "Scores",
    "Summarization",
    "TaskOptions",
]

TASKS: dict[str, type[TaskOptions]] = {
    "classification": Classification,
    "detection": Detection,
    "summarization": Summarization,
}
