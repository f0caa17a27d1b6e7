"""Export of each run's epochs as TensorBoard scalars; needs the optional package tensorboardX."""

from pathlib import Path

from experiments import records
from experiments.folder import StudyFolder
from experiments.records import EpochMetrics, RecordError
from experiments.report.plan import read_plan
from experiments.report.tidy import every_run

_TAGS = ("train_loss", "validation_loss", "validation_accuracy", "learning_rate", "examples_per_s")


def write(study: StudyFolder, directory: Path) -> int:
    """Writes an event file per run, DIRECTORY/CELL/VARIANT/seed-K.

    The step of a scalar is the optimiser step; its time is the seconds of training so far.

    Args:
        study: A finished study with its runs.
        directory: The folder to write to.

    Returns:
        The number of runs written.

    Raises:
        RecordError: tensorboardX is not installed, or a run already has event files.
    """
    try:
        from tensorboardX import SummaryWriter
    except ModuleNotFoundError as error:
        raise RecordError(
            '--tensorboard: needs the package tensorboardX: pip install "jaxpool[tensorboard]"'
        ) from error
    runs = [
        (directory / folder.cell / variant / f"seed-{seed}", folder.metrics(variant, seed))
        for folder, _, variant, seed in every_run(study, read_plan(study))
    ]
    for target, _ in runs:
        if any(target.glob("events.out.tfevents.*")):
            raise RecordError(
                f"--tensorboard {directory}: {target} already has event files, and TensorBoard "
                "would show both as one run; remove them or give another directory"
            )
    for target, metrics in runs:
        with SummaryWriter(str(target)) as writer:
            seconds = 0.0
            for epoch in records.read_metrics(metrics):
                seconds += epoch.seconds
                for tag, value in _scalars(epoch).items():
                    writer.add_scalar(tag, value, epoch.step, walltime=seconds)
    return len(runs)


def _scalars(epoch: EpochMetrics) -> dict[str, float]:
    values = {tag: getattr(epoch, tag) for tag in _TAGS}
    return {tag: value for tag, value in values.items() if value is not None}
