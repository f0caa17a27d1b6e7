"""Estimated costs of a study's networks on absent devices, from the compilers of those devices.

Each variant is compiled in a separate process, since a compiler can abort its process. The process
uses the Python interpreter that `make targets` installs. Estimates have the same record type as
measurements, are marked as estimated, and are never ranked with measured times.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments import targets
from experiments.clock import Stopwatch
from experiments.config import ConfigError, Study, dump
from experiments.records import Latency, Measurement, Origin, RecordError, Throughput
from experiments.targets import Target

_CHECKOUT = Path(__file__).parents[1]


def estimate(
    cells: Mapping[str, Study],
    origin: Origin,
    plugins: Sequence[str],
    report: Callable[[str], None],
) -> dict[tuple[str, str, Target], Measurement]:
    """Estimates all variants of all cells for every target of the study.

    Args:
        cells: The studies of a sweep, by cell.
        origin: Environment and code to record as the origin of the estimates.
        plugins: The values of `--plugin`.
        report: Called with a description of each step.

    Returns:
        One measurement per cell, variant and target.

    Raises:
        ConfigError: The compilers are not installed.
        RecordError: A compiler failed; the message has the variant, the target and the compiler's
            last line of output.
    """
    found: dict[tuple[str, Target], dict[str, Any]] = {}
    result = {}
    for cell, study in cells.items():
        for target in study.measurement.targets:
            for variant in study.variants:
                key = (study.cost_fingerprint(variant), target)
                if key not in found:
                    report(f"compiling {variant} for {targets.TITLES[target]}")
                    found[key] = _compile_in_subprocess(study, variant, target, plugins)
                result[cell, variant, target] = Measurement.model_validate_json(
                    json.dumps(
                        {
                            **found[key],
                            "variant": variant,
                            "cell": cell,
                            "fingerprint": key[0],
                            "origin": origin.model_dump(),
                        }
                    )
                )
    return result


def _compile_in_subprocess(
    study: Study, variant: str, target: Target, plugins: Sequence[str]
) -> dict[str, Any]:
    python = targets.python(_CHECKOUT, asked_by="[measurement] targets")
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as config:
        config.write(dump(study.of(variant)))
        config.flush()
        done = subprocess.run(
            [python, "-m", __name__, config.name, variant, target, *plugins],
            env={**os.environ, **targets.ENVIRONMENT, "PYTHONPATH": str(_CHECKOUT)},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise RecordError(
            f"compiling {variant} for {targets.TITLES[target]} failed (exit status "
            f"{done.returncode}): {last}"
        )
    return json.loads(done.stdout.splitlines()[-1])


def compiled_for(study: Study, variant: str, target: Target) -> Measurement:
    """Compiles one variant for a target.

    Args:
        study: The study.
        variant: One of its variants.
        target: The device.

    Returns:
        The estimates. The compiler gives one time, so all percentiles and interval ends are equal.
    """
    import jax

    from experiments.programs import Programs

    batch = study.training.batch_size
    programs = Programs.build(study, variant)
    state = jax.eval_shape(programs.init, 0)
    inputs, labels = study.dataset.describe().batch(batch)
    one, _ = study.dataset.describe().batch(1)

    def step(state: Any, inputs: Any, labels: Any) -> Any:
        return programs.step(state, inputs, labels, jax.random.key(0, impl="threefry2x32"))

    with Stopwatch() as compilation:
        train = targets.compile_for(target, step, state, inputs, labels)
    infer = targets.compile_for(target, programs.predict, state, inputs)
    infer_one = targets.compile_for(target, programs.predict, state, one)
    # Operations are counted in the lowered program; some compilers count none in the compiled one.
    cost: Any = jax.jit(programs.predict).lower(state, inputs).cost_analysis()
    flops = float(cost["flops"])
    memory = train.memory_analysis()
    held = memory.argument_size_in_bytes + memory.output_size_in_bytes
    latency = targets.estimate(target, infer_one).seconds * 1e3
    return Measurement(
        variant=variant,
        device=targets.TITLES[target],
        device_source="estimated",
        batch_size=batch,
        parameters=sum(leaf.size for leaf in jax.tree.leaves(state.parameters)),
        flops_per_example=flops / batch,
        peak_memory_mb=(held + memory.temp_size_in_bytes - memory.alias_size_in_bytes) / 1e6,
        compile_s=compilation.seconds,
        train_examples_per_s=_exact_throughput(batch / targets.estimate(target, train).seconds),
        infer_examples_per_s=_exact_throughput(batch / targets.estimate(target, infer).seconds),
        latency_ms=Latency(p50=latency, p95=latency, p99=latency, samples=1),
    )


def _exact_throughput(examples_per_s: float) -> Throughput:
    return Throughput(
        median=examples_per_s, low=examples_per_s, high=examples_per_s, samples=(examples_per_s,)
    )


def _main(config: str, variant: str, target: Target, *used: str) -> None:
    from experiments import plugins
    from experiments.config import load

    plugins.load(used)
    print(compiled_for(load(Path(config)), variant, target).model_dump_json())


if __name__ == "__main__":
    try:
        _main(*sys.argv[1:])  # type: ignore[arg-type]
    except ConfigError as error:
        sys.exit(str(error))
