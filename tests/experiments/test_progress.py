import io

from rich.console import Console

from experiments.progress import display
from experiments.records import EpochMetrics


def metrics(epoch, loss=1.0, accuracy=0.5, seconds=2.0):
    return EpochMetrics(
        epoch=epoch,
        step=epoch,
        train_loss=loss,
        validation_loss=None if accuracy is None else 1.0,
        validation_accuracy=accuracy,
        learning_rate=0.1,
        seconds=seconds,
        examples_per_s=12345.6,
    )


def shown(*, terminal, accuracies=(0.5, 0.25, 0.75)):
    own, first, second = accuracies
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=terminal, width=140)
    with display(console, runs=3, rounds={"max[2]": 2, "average": 4}) as progress:
        for epoch in (1, 2):
            progress.epoch("max[2]", (4,), [metrics(epoch, accuracy=own)], 2)
        for epoch in (1, 2):
            both = [metrics(epoch, 1.0, first), metrics(epoch, 2.0, second)]
            progress.epoch("average", (4, 5), both, 2)
    return stream.getvalue()


def test_without_a_terminal_each_run_ends_with_a_plain_line():
    assert shown(terminal=False).splitlines() == [
        "training 3 runs, 6 epochs in all",
        "max[2], seed 4: epoch 2/2, training loss 1.0000, validation accuracy 0.5000, "
        "12,346 examples/s, about 8 s left",
        "average, 2 seeds: epoch 2/2, training loss 1.5000, validation accuracy 0.5000, "
        "12,346 examples/s, about 0 s left",
    ]


def test_without_a_validation_split_the_training_loss_is_all_there_is():
    line = shown(terminal=False, accuracies=(None, None, None)).splitlines()[1]
    assert line == (
        "max[2], seed 4: epoch 2/2, training loss 1.0000, 12,346 examples/s, about 8 s left"
    )


def test_a_terminal_shows_a_bar_with_speed_and_time_left():
    text = shown(terminal=True)
    assert "max[2], seed 4: epoch 2/2, training loss 1.0000, validation accuracy 0.5000" in text
    assert "6/6" in text
    assert "12,346 examples/s" in text
    assert "about 0 s left" in text


def test_the_estimate_of_time_left_includes_a_slow_variant_that_has_begun():
    stream = io.StringIO()
    rounds = {"max": 1, "none": 10, "last": 1}
    with display(Console(file=stream), runs=12, rounds=rounds) as progress:
        progress.epoch("max", (0,), [metrics(1, seconds=10)], 1)
        for seed in range(10):
            progress.epoch("none", (seed,), [metrics(1, seconds=590)], 1)
    left = [line.rpartition(", ")[2] for line in stream.getvalue().splitlines()[1:]]
    assert left[0] == "about 2 min left"  # 11 runs as long as the only one so far
    assert left[1] == "about 1 h 34 min left"  # 9 more of 590 s, and one of (10 + 590) / 2
    assert left[-1] == "about 5 min left"
