"""Data-parallel training in several processes, which make the same calls at the same time.

Every process must start a computation on a mesh of all devices. Process 0 runs the study with a
`Leader`, an executor that sends each call to the other processes before making it. The other
processes run `follow`, which receives these calls and makes them too.
"""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.console import Console

from experiments import parallel, processes, toml
from experiments.config import Study, dump
from experiments.executor import Compilations, Device
from experiments.programs import State


class Leader(parallel.Parallel):
    """`Parallel` for process 0 of several."""

    def __init__(
        self, study: Study, variant: str, data: Device, compiled: Compilations | None = None
    ):
        del compiled  # not shared: XLA may tune a GPU's kernels only if all processes compile
        super().__init__(study, variant, data)
        study = study.of(variant)
        alone: dict[str, Any] = {"variants": {variant: study.variants[variant]}, "sweep": {}}
        alone |= dict.fromkeys(("tuning", "search", "published"))
        self._study = dump(study.model_copy(update=alone)).encode()
        self._variant = variant

    def initial(self, seed: int) -> State:
        """The sharded state before training, in all processes."""
        self._build()
        processes.send({"do": "initial", "seed": seed})
        return super().initial(seed)

    def load(self, folder: Path) -> State:
        """A sharded state of a checkpoint, in all processes."""
        self._build()
        processes.send({"do": "load"}, str(folder).encode())
        return super().load(folder)

    def write(self, folder: Path, state: State) -> None:
        """Writes a sharded state; each process writes the parts that its devices hold."""
        processes.send({"do": "write"}, str(folder).encode())
        super().write(folder, state)

    def place(self, state: State) -> State:
        """The state on every device of all processes."""
        self._build()
        buffer = io.BytesIO()
        np.savez(buffer, *map(np.asarray, jax.tree.leaves(state)))
        processes.send({"do": "place"}, buffer.getvalue())
        return super().place(state)

    def _build(self) -> None:
        """Makes the other processes build the programs of this study and variant."""
        processes.send({"do": "build", "variant": self._variant}, self._study)

    def train(
        self, state: State, seeds: Sequence[int], first: int, steps: int
    ) -> tuple[State, np.ndarray, float]:
        """Trains one seed for some steps, in all processes."""
        processes.send({"do": "train", "seeds": list(seeds), "first": first, "steps": steps})
        return super().train(state, seeds, first, steps)

    def score(self, state: State, size: int, split: tuple[Any, Any]) -> Any:
        """The scores of one seed on one split, which all processes have."""
        name = "test" if split is self._data.test else "validation"
        processes.send({"do": "score", "split": name})
        return super().score(state, size, split)


def follow(console: Console) -> bool:
    """Receives and makes the calls of process 0 until process 0 ends.

    Args:
        console: The console for a line at the start and at the end.

    Returns:
        Whether process 0 ended without an error.
    """
    name = f"process {jax.process_index()} of {jax.process_count()}"
    console.print(
        f"{name}: trains with process 0, which shows and writes the results", soft_wrap=True
    )
    build, runner, state, datasets = None, None, None, _LastDataset()
    while True:
        call, payload = processes.receive()
        match call.pop("do"):
            case "build":
                wanted = (payload.decode(), call["variant"])
                if build != wanted:
                    study = Study.model_validate(toml.parse(wanted[0]))
                    build = wanted
                    runner = parallel.Parallel(study, wanted[1], datasets.of(study))
            case "end":
                jax.distributed.shutdown()
                if call["error"]:
                    console.print(f"{name}: ends, for process 0 has ended with an error")
                return not call["error"]
            case name:
                if runner is None:
                    raise ValueError(f"process 0 sent {name!r} before a program")
                state = _called(runner, state, name, call, payload)


def _called(
    runner: parallel.Parallel, state: Any, name: str, call: dict[str, Any], payload: bytes
) -> Any:
    """Makes one call of process 0 and returns the state after it."""
    if name == "place":
        with np.load(io.BytesIO(payload), allow_pickle=False) as file:
            leaves = [file[name] for name in file.files]
        return runner.place(jax.tree.unflatten(jax.tree.structure(runner.like), leaves))
    if name == "initial":
        return runner.initial(call["seed"])
    if name == "load":
        return runner.load(Path(payload.decode()))
    if name == "train":
        return runner.train(state, **call)[0]
    if name == "write":
        runner.write(Path(payload.decode()), state)
        return state
    runner.score(state, 1, runner.split(call["split"]))
    return state


class _LastDataset:
    """A cache of the last study's dataset, because the next study usually has the same one."""

    def __init__(self) -> None:
        self._key, self._device = "", None

    def of(self, study: Study) -> Device:
        key = repr(study.dataset)
        if self._device is None or key != self._key:
            self._key, self._device = key, parallel.host(study.dataset.limited())
        return self._device
