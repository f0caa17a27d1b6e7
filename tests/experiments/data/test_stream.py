"""Streams over sources in memory: order, parts, bounds, errors, statistics."""

import threading
import weakref

import numpy as np
import pytest

from experiments.data import DataError, standardised
from experiments.data import stream as module
from experiments.data.stream import BATCHES_AHEAD, Stream, statistics

SHAPE = (4, 5, 3)


class Numbered:
    """Image i is filled with i; class i % 7. Counts the images that are alive."""

    def __init__(self, size, broken=None):
        self.size, self.broken = size, broken
        self.alive, self.peak, self.asked = 0, 0, 0
        self._lock = threading.Lock()

    def __len__(self):
        return self.size

    def __getitem__(self, number):
        if number == self.broken:
            raise DataError(f"image {number}: found nothing")
        image = np.full(SHAPE, number % 256, np.uint8)
        with self._lock:
            self.asked += 1
            self.alive += 1
            self.peak = max(self.peak, self.alive)
        weakref.finalize(image, self._gone)
        return image, number % 7

    def _gone(self):
        with self._lock:
            self.alive -= 1

    def classes(self, numbers):
        return (numbers % 7).astype(np.int32)


def plain(source):
    return Stream.of(source, np.zeros(3, np.float32), np.ones(3, np.float32))


def numbers(batches):
    return [batch[:, 0, 0, 0].astype(int).tolist() for batch, _ in batches]


def test_batches_follow_the_order_and_the_last_may_be_shorter():
    stream = plain(Numbered(50))
    order = np.array([7, 3, 49, 0, 3, 12, 30])
    found = list(stream.batches(order, 3))
    assert numbers(found) == [[7, 3, 49], [0, 3, 12], [30]]
    assert [labels.tolist() for _, labels in found] == [[0, 3, 0], [0, 3, 5], [2]]
    inputs, labels = found[0]
    assert (inputs.shape, inputs.dtype, labels.dtype) == ((3, *SHAPE), np.float32, np.int32)
    assert [(s.shape, s.dtype) for s in stream.shapes(3)] == [
        (inputs.shape, inputs.dtype),
        (labels.shape, labels.dtype),
    ]


def test_a_part_of_a_stream_is_a_stream():
    stream = plain(Numbered(50)).take(slice(10, 20)).take(np.arange(10) % 2 == 1)
    assert len(stream) == 5
    assert numbers(stream.batches(np.array([4, 0]), 2)) == [[19, 11]]
    assert stream.labels.tolist() == [4, 6, 1, 3, 5]
    split = stream.read()
    assert split.inputs[:, 0, 0, 0].tolist() == [11, 13, 15, 17, 19]
    assert split.labels.tolist() == [4, 6, 1, 3, 5]


@pytest.mark.parametrize("examples", [200, 2000])
def test_memory_is_bounded_whatever_the_size_of_the_dataset(examples):
    source, size = Numbered(examples), 10
    seen = sum(len(labels) for _, labels in plain(source).batches(np.arange(examples), size))
    assert seen == source.asked == examples
    # Those that wait decoded, those of the batch that is put together, and one per thread.
    threads = BATCHES_AHEAD * size
    assert size <= source.peak <= BATCHES_AHEAD * size + size + threads < examples


def test_who_stops_early_reads_no_further():
    source = Numbered(5000)
    batches = plain(source).batches(np.arange(5000), 10)
    next(batches)
    batches.close()
    assert source.asked < 100


def test_an_example_that_cannot_be_read_ends_the_stream_with_its_own_complaint():
    batches = plain(Numbered(50, broken=23)).batches(np.arange(50), 10)
    assert len([next(batches), next(batches)]) == 2
    with pytest.raises(DataError) as caught:
        list(batches)
    assert str(caught.value) == "image 23: found nothing"


def test_statistics_and_inputs_are_those_of_a_dataset_in_memory(monkeypatch):
    monkeypatch.setattr(module, "_READ_TOGETHER", 16)
    images = np.random.default_rng(0).integers(0, 256, (50, *SHAPE), np.uint8)
    images[..., 2] = 9  # a constant channel
    source = Numbered(50)
    source.__class__ = type("Random", (Numbered,), {"__getitem__": lambda _, n: (images[n], n % 7)})
    labels = np.arange(50) % 7
    expected = standardised("made up", (images, labels), (images, labels), 7).train
    found = Stream.of(source, *statistics(source)).read()
    np.testing.assert_array_equal(found.inputs, expected.inputs)
    np.testing.assert_array_equal(found.labels, expected.labels)


def test_without_grain_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "grain", None)
    with pytest.raises(DataError, match=r'^dataset.stream: needs .*"jaxpool\[stream\]"$'):
        module.require_grain("dataset.stream")
