"""What to compute, in plain integers.

`planner`: which windows, in which order. `dispatch`: the engine's own loops or XLA's operations,
per target. `layout`: axes merged for long inner loops. `target`: kinds of devices. `tuning`: every
tuned constant.
"""
