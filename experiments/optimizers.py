"""Optimisers and learning-rate schedules, as `[training]` configures them."""

from typing import Any

import jax
import optax

from experiments.config import Training


def learning_rate(training: Training, steps: int) -> optax.Schedule:
    """The learning rate as a function of the steps taken.

    Args:
        training: The `[training]` section.
        steps: Steps per epoch.

    Returns:
        The schedule.
    """
    peak, total = training.learning_rate, training.total_steps(steps)
    warmup = round(training.warmup_epochs * steps)
    if training.schedule == "cosine":
        after = optax.cosine_decay_schedule(peak, max(total - warmup, 1))
    elif training.schedule == "steps":
        unit = steps if training.steps is None else 1
        boundaries = {unit * number - warmup: training.factor for number in training.milestones}
        after = optax.piecewise_constant_schedule(peak, boundaries)
    else:
        after = optax.constant_schedule(peak)
    if warmup == 0:
        return after
    return optax.join_schedules([optax.linear_schedule(0.0, peak, warmup), after], [warmup])


def build_optimizer(training: Training, schedule: optax.Schedule) -> optax.GradientTransformation:
    """The optimiser.

    Args:
        training: The `[training]` section.
        schedule: The learning-rate schedule.

    Returns:
        The update rule.
    """
    if training.optimizer == "adamw":
        rule = optax.scale_by_adam()
    else:
        rule = optax.trace(training.momentum, nesterov=training.nesterov)
    decay = optax.add_decayed_weights(training.weight_decay, mask=_decays)
    ordered = (decay, rule) if training.coupled_decay else (rule, decay)
    return optax.chain(*ordered, optax.scale_by_learning_rate(schedule))


def _decays(parameters: Any) -> Any:
    """Marks the parameters with weight decay: kernels, but not biases and norm scales (vectors)."""
    return jax.tree.map(lambda parameter: parameter.ndim > 1, parameters)
