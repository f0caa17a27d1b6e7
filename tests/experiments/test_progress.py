import io

from rich.console import Console

from experiments.progress import display
from experiments.records import EpochMetrics


def metrics(epoch, accuracy=0.5, seconds=2.0):
    return EpochMetrics(
        epoch=epoch,
        step=epoch,
        train_loss=1.0,
        test_loss=1.0,
        test_accuracy=accuracy,
        learning_rate=0.1,
        seconds=seconds,
        examples_per_s=12345.6,
    )


def shown(*, terminal):
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=terminal, width=120)
    with display(console, runs={"max[2]": 1, "average": 2}, epochs=2) as progress:
        for epoch in (1, 2):
            progress.epoch("max[2]", (4,), [metrics(epoch)])
        for epoch in (1, 2):
            progress.epoch("average", (4, 5), [metrics(epoch, 0.25), metrics(epoch, 0.75)])
    return stream.getvalue()


def test_without_a_terminal_each_run_ends_with_a_plain_line():
    assert shown(terminal=False).splitlines() == [
        "training 3 runs of 2 epochs",
        "max[2], seed 4: epoch 2/2, test accuracy 0.5000, 12,346 examples/s, about 8 s left",
        "average, 2 seeds: epoch 2/2, test accuracy 0.5000, 12,346 examples/s, about 0 s left",
    ]


def test_a_terminal_shows_a_bar_with_speed_and_time_left():
    text = shown(terminal=True)
    assert "max[2], seed 4: epoch 2/2, test accuracy 0.5000" in text
    assert "6/6" in text
    assert "12,346 examples/s" in text
    assert "about 0 s left" in text


def test_a_slow_variant_is_known_once_it_has_begun():
    stream = io.StringIO()
    with display(
        Console(file=stream), runs={"max": 1, "none": 10, "last": 1}, epochs=1
    ) as progress:
        progress.epoch("max", (0,), [metrics(1, seconds=10)])
        for seed in range(10):
            progress.epoch("none", (seed,), [metrics(1, seconds=590)])
    left = [line.rpartition(", ")[2] for line in stream.getvalue().splitlines()[1:]]
    assert left[0] == "about 2 min left"  # 11 runs as long as the only one so far
    assert left[1] == "about 1 h 34 min left"  # 9 more of 590 s, and one of (10 + 590) / 2
    assert left[-1] == "about 5 min left"
