"""Measurement of each variant's compile time, throughput, latency, memory and operations.

Variants are compiled first and then timed in rounds, each in a new random order, so that a
temporary slowdown of the machine affects all of them alike. Inputs are training examples on the
device, every sample waits until its result is ready, and each reported number is a median with its
interval.
"""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from experiments import quantiles
from experiments.clock import Stopwatch
from experiments.compilation import compile_network, no_cache
from experiments.config import MeasurementOptions as Options
from experiments.config import Study
from experiments.data import Dataset
from experiments.environment import device_name
from experiments.programs import Programs
from experiments.records import Latency, Measurement, Origin, Throughput

_SHORTEST_SAMPLE_S = 0.01
"""Minimum duration of a throughput sample: programs are repeated to amortize the dispatch time."""
_FEWEST_ROUNDS = 6
"""Minimum number of rounds: a median needs six samples for a 95% interval."""


def measure(
    cells: Mapping[str, Study],
    load: Callable[[Study], Dataset],
    origin: Origin,
    report: Callable[[str], None],
) -> dict[tuple[str, str], Measurement]:
    """Measures all variants of all cells of a study side by side.

    Cells in which a variant has the same cost, such as cells of different training set sizes, share
    one measurement.

    Args:
        cells: The studies of a sweep, by cell.
        load: Returns the dataset of a study.
        origin: Environment and code to record as the origin of the measurements.
        report: Called with a description of each step.

    Returns:
        One measurement per cell and variant.
    """
    contenders: dict[str, _Contender] = {}
    with no_cache():
        for study in cells.values():
            for variant in study.variants:
                key = study.cost_fingerprint(variant)
                if key not in contenders:
                    report(f"compiling {variant} for measurement")
                    contenders[key] = _Contender.compile(study, variant, load(study))
    options = next(iter(cells.values())).measurement
    report(f"measuring for up to {options.seconds:g} s")
    _sample(list(contenders.values()), options)
    return {
        (cell, variant): contenders[study.cost_fingerprint(variant)].result(
            study, variant, cell, origin
        )
        for cell, study in cells.items()
        for variant in study.variants
    }


def latency(milliseconds: Sequence[float] | NDArray[np.float64]) -> Latency:
    """The percentiles of a sample, and the interval of the 99th if the sample gives one.

    Args:
        milliseconds: The sample.

    Returns:
        The record.
    """
    p50, p95, p99 = (float(p) for p in np.percentile(milliseconds, (50, 95, 99)))
    low, high = quantiles.quantile_interval(milliseconds, 0.99) or (None, None)
    return Latency(p50=p50, p95=p95, p99=p99, samples=len(milliseconds), p99_low=low, p99_high=high)


@dataclass
class _Contender:
    """One compiled variant and its timing samples."""

    train: Callable[[], Any]
    infer: Callable[[], Any]
    infer_one: Callable[[], Any]
    parameters: int
    flops_per_example: float
    peak_memory_mb: float
    compile_s: float
    samples: dict[str, list[float]] = field(
        default_factory=lambda: {"train": [], "infer": [], "latency": []}
    )
    repeats: dict[str, int] = field(default_factory=dict)

    @classmethod
    def compile(cls, study: Study, variant: str, dataset: Dataset) -> "_Contender":
        """Compiles a variant's training step and inference, and runs each once."""
        programs = Programs.build(study, variant)
        state = programs.init(0)
        batch, step_key = study.training.batch_size, jax.random.key(0)
        chosen = np.random.default_rng(0).choice(len(dataset.train), batch, replace=False)
        examples = dataset.train.take(chosen).read()
        inputs, labels = jax.device_put((examples.inputs, examples.labels))
        one = jax.tree.map(lambda a: a[:1], inputs)
        step = jax.jit(programs.step).lower(state, inputs, labels, step_key)
        with Stopwatch() as compilation:
            train = compile_network(step, "training")
        infer, infer_one = (
            compile_network(jax.jit(programs.predict).lower(state, read), "inference")
            for read in (inputs, one)
        )
        jax.block_until_ready((inputs, labels, one))
        contender = cls(
            train=lambda: train(state, inputs, labels, step_key),
            infer=lambda: infer(state, inputs),
            infer_one=lambda: infer_one(state, one),
            parameters=sum(leaf.size for leaf in jax.tree.leaves(state.parameters)),
            flops_per_example=_flops(infer) / batch,
            peak_memory_mb=_peak_bytes(train) / 1e6,
            compile_s=compilation.seconds,
        )
        contender.calibrate()
        return contender

    def calibrate(self) -> None:
        """Sets how often each throughput program is repeated per sample."""
        for name, program in (("train", self.train), ("infer", self.infer)):
            jax.block_until_ready(program())
            self.repeats[name] = int(_SHORTEST_SAMPLE_S / _timed(program)) + 1
        jax.block_until_ready(self.infer_one())

    def sample(self, name: str, latencies: int) -> None:
        """Takes one sample of a throughput, or a number of latencies."""
        if name == "latency":
            jax.block_until_ready(self.infer_one())  # Warms the cache after the previous contender.
            self.samples[name] += [_timed(self.infer_one) for _ in range(latencies)]
        else:
            repeats = self.repeats[name]
            program = self.train if name == "train" else self.infer
            self.samples[name].append(_timed(program, repeats) / repeats)

    def result(self, study: Study, variant: str, cell: str, origin: Origin) -> Measurement:
        """The measurement record of the samples."""
        batch = study.training.batch_size
        return Measurement(
            variant=variant,
            cell=cell,
            fingerprint=study.cost_fingerprint(variant),
            origin=origin,
            device=device_name(),
            device_source="measured",
            batch_size=batch,
            parameters=self.parameters,
            flops_per_example=self.flops_per_example,
            peak_memory_mb=self.peak_memory_mb,
            compile_s=self.compile_s,
            train_examples_per_s=_throughput([batch / s for s in self.samples["train"]]),
            infer_examples_per_s=_throughput([batch / s for s in self.samples["infer"]]),
            latency_ms=latency(np.array(self.samples["latency"]) * 1e3),
        )


def _sample(contenders: Sequence[_Contender], options: Options) -> None:
    """Collects the contenders' samples in rounds, within the time limit of the config.

    Every contender has the same number of samples. `bench.timing.interleave` gives every program
    the same time instead, because the programs of a benchmark differ in speed by orders of
    magnitude.
    """
    turns = [(c, name) for c in contenders for name in ("train", "infer", "latency")]
    order = random.Random(0)
    start = time.perf_counter()  # read while it runs, which a Stopwatch cannot be
    for done in range(options.rounds):
        spent = time.perf_counter() - start
        rounds = options.rounds
        if done:  # As many rounds as fit into the time limit, at the mean time per round so far.
            rounds = min(rounds, max(int(options.seconds / spent * done), _FEWEST_ROUNDS))
        if done >= rounds:
            break
        order.shuffle(turns)
        for contender, name in turns:
            owed = options.latency_samples - len(contender.samples["latency"])
            contender.sample(name, max(-(-owed // (rounds - done)), 0))


def _timed(program: Callable[[], Any], repeats: int = 1) -> float:
    """Seconds until `repeats` runs of a program are ready."""
    with Stopwatch() as watch:
        jax.block_until_ready([program() for _ in range(repeats)])
    return watch.seconds


def _throughput(samples: list[float]) -> Throughput:
    median, low, high = quantiles.median_interval(samples)
    return Throughput(
        median=median,
        low=min(samples) if low is None else low,
        high=max(samples) if high is None else high,
        samples=tuple(samples),
    )


def _peak_bytes(compiled: Any) -> int:
    memory = compiled.memory_analysis()
    held = memory.argument_size_in_bytes + memory.output_size_in_bytes
    return held + memory.temp_size_in_bytes - memory.alias_size_in_bytes


def _flops(compiled: Any) -> float:
    return float(compiled.cost_analysis()["flops"])
