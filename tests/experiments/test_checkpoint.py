import numpy as np
import pytest

from experiments import checkpoint
from experiments.programs import State
from experiments.records import RecordError

STATE = State(
    parameters={"a": {0: np.arange(6, dtype=np.float32).reshape(2, 3)}, "b": np.ones(2)},
    statistics={},
    optimizer=(np.int32(7), [np.array([np.nan, -np.inf], np.float32)]),
)


def test_a_checkpoint_restores_the_state_bit_for_bit(tmp_path):
    path = tmp_path / "seed-0" / "checkpoint.npz"
    checkpoint.save(path, STATE, epoch=3, fingerprint="f")
    found = checkpoint.restore(path, STATE, fingerprint="f")
    assert found is not None
    state, epoch = found
    assert epoch == 3
    assert isinstance(state, State)
    np.testing.assert_array_equal(state.parameters["a"][0], STATE.parameters["a"][0])
    np.testing.assert_array_equal(state.optimizer[1][0], STATE.optimizer[1][0])
    assert state.optimizer[0] == 7
    assert checkpoint.fingerprint(path) == "f"
    assert [entry.name for entry in path.parent.iterdir()] == ["checkpoint.npz"]


def test_no_file_is_no_checkpoint(tmp_path):
    assert checkpoint.restore(tmp_path / "none.npz", STATE, fingerprint="f") is None


def test_a_checkpoint_of_another_config_is_refused(tmp_path):
    path = tmp_path / "checkpoint.npz"
    checkpoint.save(path, STATE, epoch=1, fingerprint="f")
    with pytest.raises(RecordError, match="another config; remove it"):
        checkpoint.restore(path, STATE, fingerprint="g")


@pytest.mark.parametrize(
    "other",
    [
        STATE._replace(parameters={}),
        STATE._replace(statistics={"c": np.ones(2)}),
        STATE._replace(optimizer=(np.int64(7), STATE.optimizer[1])),
        STATE._replace(parameters={"a": {0: np.ones((3, 2), np.float32)}, "b": np.ones(2)}),
    ],
)
def test_a_checkpoint_of_another_network_is_refused(tmp_path, other):
    path = tmp_path / "checkpoint.npz"
    checkpoint.save(path, STATE, epoch=1, fingerprint="f")
    with pytest.raises(RecordError, match="does not hold this network's state"):
        checkpoint.restore(path, other, fingerprint="f")


def test_damaged_files_are_named_and_run_no_code(tmp_path):
    path = tmp_path / "checkpoint.npz"
    checkpoint.save(path, STATE, epoch=1, fingerprint="f")
    for content in (b"", b"not an archive", path.read_bytes()[:-100]):
        path.write_bytes(content)
        with pytest.raises(RecordError, match="damaged"):
            checkpoint.fingerprint(path)
    np.savez(path, epoch=np.array([print], dtype=object), fingerprint=np.str_("f"))
    with pytest.raises(RecordError, match="damaged"):
        checkpoint.restore(path, STATE, fingerprint="f")
    np.savez(path, epoch=np.int64(1))
    with pytest.raises(RecordError, match="lacks fingerprint"):
        checkpoint.fingerprint(path)
