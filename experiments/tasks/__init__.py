"""Tasks, one file each: loss, metrics and scores of a network on a kind of dataset.

A task is a section of a config, `[task]`, whose methods are pure functions of arrays. A new task
needs a file and an entry in `TASKS`. A config without `[task]` uses the default task of its
dataset.
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
