"""Optimisers and learning-rate schedules, as `[training]` configures them."""

import functools
from typing import Any

import jax
import optax

from experiments.config import Study, Training

ARGUMENTS = ("learning_rate", "weight_decay")
"""Keys of `[training]` whose values are part of the optimizer's state, unless they are 0.

They are then arguments of the compiled program, so trials that differ in these values share it."""


def learning_rate(
    training: Training, steps: int, peak: float | jax.Array | None = None
) -> optax.Schedule:
    """The learning rate as a function of the steps taken.

    Args:
        training: The `[training]` section.
        steps: Steps per epoch.
        peak: Replaces `training.learning_rate`, for instance by a traced value.

    Returns:
        The schedule.
    """
    peak = training.learning_rate if peak is None else peak
    total = training.total_steps(steps)
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


def build_optimizer(training: Training, steps: int) -> optax.GradientTransformation:
    """The optimiser, with its schedule of the learning rate.

    Args:
        training: The `[training]` section.
        steps: Steps per epoch.

    Returns:
        The update rule. Its state contains the values of `ARGUMENTS` that are not 0.
    """
    schedule_of = functools.partial(learning_rate, training, steps)

    def build(learning_rate: jax.Array, weight_decay: jax.Array) -> optax.GradientTransformation:
        return _rule(training, schedule_of(learning_rate), weight_decay)

    values = {key: getattr(training, key) for key in ARGUMENTS}
    zero = [key for key, value in values.items() if value == 0]  # XLA then omits the term
    return optax.inject_hyperparams(build, static_args=zero)(**values)


def program_fingerprint(study: Study, variant: str) -> str:
    """A hash that is equal for studies whose programs for a variant are equal.

    It is the study's fingerprint with the value 1 for each of `ARGUMENTS` that is not 0.

    Args:
        study: The study.
        variant: One of its variants.
    """
    study = study.of(variant)
    ones = {key: 1.0 for key in ARGUMENTS if getattr(study.training, key)}
    training = study.training.model_copy(update=ones)
    return study.model_copy(update={"training": training}).fingerprint(variant)


def _rule(
    training: Training, schedule: optax.Schedule, weight_decay: jax.Array
) -> optax.GradientTransformation:
    if training.optimizer == "adamw":
        rule = optax.scale_by_adam()
    else:
        rule = optax.trace(training.momentum, nesterov=training.nesterov)
    decay = optax.add_decayed_weights(weight_decay, mask=_decays)
    ordered = (decay, rule) if training.coupled_decay else (rule, decay)
    return optax.chain(*ordered, optax.scale_by_learning_rate(schedule))


def _decays(parameters: Any) -> Any:
    """Marks the parameters with weight decay: kernels, but not biases and norm scales (vectors)."""
    return jax.tree.map(lambda parameter: parameter.ndim > 1, parameters)
