"""Plans of the computation, in plain integers.

`planner`: the sequence of windows. `dispatch`: the choice between the engine's loops and XLA's
windowed operations, per target. `layout`: merging axes for long inner loops. `target`: kinds of
devices. `tuning`: all tuned constants.
"""
