"""Faults that `run` handles, with the outcome and the exit status of each.

docs/reliability.md and docs/lab.md include these tables. tests/experiments/test_faults.py causes
every fault in a real process.
"""

from typing import NamedTuple

from experiments import markdown

STATUSES = {
    0: "everything ran",
    1: "`bench` found a wrong result",
    2: "a mistake in the config, the data or the folder, or a full disk; one line says what to do",
    3: "a run diverged (its loss ceased to be finite); the table counts such runs",
    4: "`choose`: no variant is shown to be inside the budget",
    5: "another process of `run --coordinator` was lost; the same commands go on",
    130: "stopped by Ctrl-C; the same command goes on",
    143: "stopped by SIGTERM; the same command goes on",
}
"""Exit statuses of every command, and what they mean."""

KILLED = -9


class Fault(NamedTuple):
    """One fault.

    Attributes:
        title: The fault of the process or its files.
        outcome: The reaction of the lab.
        status: The exit status; `KILLED` if the process is killed.
        line: Text that the line on stderr contains; empty if there is no line.
    """

    title: str
    outcome: str
    status: int
    line: str = ""


_REFUSED = "refused before anything is written"

FAULTS = {
    "disk_full": Fault(
        "the disk is full",
        "the file is named; what is finished is kept",
        2,
        "cannot be written: No space left on device; free some space and run the same command",
    ),
    "file_size": Fault(
        "a limit on the size of files (`ulimit -f`)",
        "the file is named; what is finished is kept",
        2,
        "cannot be written: File too large; raise the limit on the size of files (`ulimit -f`)",
    ),
    "read_only": Fault(
        "the results folder is on a read-only file system",
        "the folder is named",
        2,
        "cannot be written: Read-only file system; make it writable, or give --out another folder",
    ),
    "out_is_a_file": Fault(
        "`--out` is a file",
        "the folder is named",
        2,
        "cannot be written: Not a directory; move the file that is in the way, or give --out",
    ),
    "garbage_config": Fault("garbage in config.toml", "it is written anew", 0),
    "garbage_summary": Fault(
        "garbage in summary.csv, summary.md, runs.csv, epochs.csv, pareto.png or report.html",
        "it is written anew",
        0,
    ),
    "garbage_environment": Fault(
        "garbage in environment.json of a finished study",
        "the file is named; removed, it is written anew with the measurements",
        2,
        "not a valid Environment",
    ),
    "garbage_record": Fault(
        "garbage in record.json",
        "the file is named; removed, it is made from the checkpoint",
        2,
        "not a valid RunRecord",
    ),
    "garbage_metrics": Fault(
        "garbage in metrics.jsonl of an unfinished run",
        "the file is named; its folder removed, the run is done again",
        2,
        "metrics.jsonl, line 1: Invalid JSON",
    ),
    "garbage_measurement": Fault(
        "garbage in measurement.json",
        "the file is named; removed, all is measured again",
        2,
        "not a valid Measurement",
    ),
    "garbage_checkpoint": Fault(
        "garbage in checkpoint.npz of an unfinished run",
        "the file is named; removed, the run is done again",
        2,
        "checkpoint.npz: damaged",
    ),
    "garbage_sharded_checkpoint": Fault(
        "garbage in checkpoint.json or in the arrays of a sharded checkpoint (`shard_state`)",
        "the file or folder is named; removed, the run is done again",
        2,
        "epoch-3: damaged",
    ),
    "garbage_choice": Fault(
        "garbage in tuning.json or in trial.json of a tuned study",
        "the file is named; removed (tuning.json with the runs that follow from it), it is made "
        "again from the trials",
        2,
        "not a valid TuningRecord",
    ),
    "garbage_baselines": Fault(
        "garbage in baselines.json",
        "the file is named; removed, it is written anew",
        2,
        "not a valid Baselines",
    ),
    "huge_widths": Fault(
        "`model.widths` of 10^12",
        _REFUSED,
        2,
        "parameters and optimizer state take",
    ),
    "deep_toml": Fault(
        "a config nested 100,000 deep", _REFUSED, 2, "not valid TOML: nested too deeply"
    ),
    "long_key": Fault(
        "a config with a key of 200,000 parts",
        _REFUSED,
        2,
        "not valid TOML: a key of more than 64 parts",
    ),
    "promised_gzip": Fault(
        "a gzip file whose header promises 2 GB",
        f"{_REFUSED}, and before memory is taken",
        2,
        "train-images-idx3-ubyte.gz: found sizes",
    ),
    "inflating_gzip": Fault(
        "a gzip file that holds far more than its header says",
        f"{_REFUSED}, and before memory is taken",
        2,
        "train-images-idx3-ubyte.gz: found more than",
    ),
    "damaged_cache": Fault(
        "a damaged file in the cache of compiled programs",
        "JAX warns, and compiles",
        0,
        "Error reading persistent compilation cache entry",
    ),
    "two_processes": Fault(
        "a second process on the same folder",
        "the second is refused",
        2,
        "another process is working in this folder",
    ),
    "interrupt": Fault(
        "Ctrl-C (SIGINT) at any moment, while Python imports as well",
        "it stops at once",
        130,
        "stopped; the same command goes on from here",
    ),
    "terminate": Fault(
        "SIGTERM at any moment",
        "it stops at once",
        143,
        "stopped; the same command goes on from here",
    ),
    "kill": Fault(
        "`kill -9` at a random moment", "at most the current round of the run is lost", KILLED
    ),
    "lost_worker": Fault(
        "a worker of `--workers` or `--dask` is killed",
        "its run is done again from its checkpoint; a third loss of one run ends the study",
        0,
    ),
    "lost_peer": Fault(
        "one of the processes of `--coordinator` is killed",
        "the others say which one and end, within `--peer-timeout`; at most the current round of "
        "the run is lost",
        5,
        "process 1 of the group is lost; run the same command in every process again",
    ),
}
"""Faults by a short name, in the order in which documents show them."""


def table() -> str:
    """The table of faults, for docs/reliability.md."""
    rows = [
        (fault.title, fault.outcome, "killed" if fault.status == KILLED else str(fault.status))
        for fault in FAULTS.values()
    ]
    return markdown.table(["fault", "what happens", "exit status"], rows, left=(0, 1, 2))


def statuses() -> str:
    """The table of exit statuses, for docs/lab.md."""
    rows = [(str(status), meaning) for status, meaning in STATUSES.items()]
    return markdown.table(["exit status", ""], rows, left=(0, 1))
