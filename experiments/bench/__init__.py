"""The operator benchmark: jaxpool and its peers side by side, on equal terms.

config.py       what a benchmark's TOML file may say; case.py: one pooling
bench.py        the whole of it: one process a round and dtype, resumed where it was left
worker.py       what such a process does with a round: one case, or all windows to be compared
contest.py      prepare every contender, check its answer, time them in turns
judging.py      what a check says; reference.py: the answers it knows
timing.py       the clock
contenders/     one library a file
calls/          every operator of jaxpool beside its own max pooling
network/        the same for a whole training step
records.py      what is written down; results.py: put side by side
summary.py, table.py, plot.py    what is read from it
"""
