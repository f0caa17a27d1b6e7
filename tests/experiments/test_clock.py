import pytest

from experiments import clock


@pytest.fixture
def at(monkeypatch):
    """Sets the times that the clock shows, one per reading."""

    def show(*times):
        monkeypatch.setattr(clock.time, "perf_counter", iter(times).__next__)

    return show


def test_a_stopwatch_adds_the_seconds_of_its_blocks(at):
    at(1.0, 3.0, 10.0, 10.5)
    watch = clock.Stopwatch()
    assert watch.seconds == 0
    with watch as same:
        assert same is watch
    assert watch.seconds == 2
    with watch:
        assert watch.seconds == 2
    assert watch.seconds == 2.5


def test_a_stopwatch_stops_at_an_error(at):
    at(1.0, 4.0)
    watch = clock.Stopwatch()
    with pytest.raises(KeyError), watch:
        raise KeyError
    assert watch.seconds == 3


def test_the_shortest_of_a_few_times():
    def times(*seconds):
        return iter(seconds).__next__

    assert clock.shortest(times(5.0, 3.0, 4.0), calls=3, seconds=100) == 3
    assert clock.shortest(times(5.0, 3.0), calls=9, seconds=6) == 3  # no third call after 8 s
    assert clock.shortest(times(5.0), calls=9, seconds=1) == 5
