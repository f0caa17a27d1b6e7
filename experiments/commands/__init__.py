"""The commands of `python -m experiments`: one function per command, each calling one module.

study.py        run
results.py      compare, choose, merge, report, site
benchmark.py    bench
data.py         pack
options.py      options of several commands

A command imports what it needs when it is called, so that `--help` starts fast.
"""
