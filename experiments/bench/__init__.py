"""Operator benchmark: jaxpool and other libraries side by side under equal conditions.

config.py       sections of a benchmark's TOML file; case.py: one pooling
runner.py       all rounds of a benchmark, one process per round and dtype; resumes unfinished runs
folder.py       the layout of the results folder; environment.py: its environment.json
worker.py       such a process: one case, or all windows to be compared
contest.py      preparation, check and interleaved timing of contenders
judging.py      check of results against references; reference.py: references of pooling
timing.py       the clock
contenders/     one library per file
calls/          every operator of jaxpool beside jaxpool's max pooling
network/        the same for a whole training step
records.py      record types; results.py: records grouped for comparison
summary.py, table.py, plot.py, page.py    reports made from the records
"""
