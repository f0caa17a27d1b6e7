"""The command line, `python -m experiments`; `experiments.commands` has its commands."""

from experiments.stopping import stop_at_signals

if __name__ == "__main__":
    stop_at_signals()  # before the imports below, which take a second or more

import typer

from experiments.commands import benchmark, data, results, study
from experiments.faults import STATUSES

_STATUSES = "Exit status: " + " ".join(f"{n}: {words}." for n, words in STATUSES.items())

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback(epilog=_STATUSES)
def _lab() -> None:
    """Train networks that differ only in how they pool, and compare them honestly."""


app.command(epilog=_STATUSES)(study.run)
for command in (
    *(results.compare, results.choose, results.merge, results.report),
    benchmark.bench,
    data.pack,
    results.site,
):
    app.command()(command)


if __name__ == "__main__":
    app(prog_name="python -m experiments")
