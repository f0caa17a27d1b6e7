"""Fingerprints: SHA-256 of the part of a config that determines a result or a cost.

A study goes on with records whose fingerprints match its config, and averages only runs of equal
fingerprints. A key that is added to the config must not change the fingerprints of older records.
"""

import hashlib
import json
from typing import TYPE_CHECKING, Any

from experiments.config.training import Training

if TYPE_CHECKING:
    from experiments.config.schema import Study

_LATER = ("data_parallel", "precision", "shard_state")
"""Keys of `[training]` that a fingerprint holds only if they differ from their defaults: they came
after the first published records."""


def of_result(study: "Study", variant: str) -> str:
    """The fingerprint of the training result of a variant.

    Args:
        study: The study, with the settings of the variant; see `Study.of`.
        variant: One of its variants.
    """
    whole = study.model_dump(mode="json", exclude={"dataset"})
    del whole["training"]["seeds"], whole["training"]["seeds_together"]
    _forget_defaults(whole["training"], study.training)
    decisive = {key: whole[key] for key in ("model", "task", "training")}
    decisive |= {"dataset": study.dataset.identity(), "variant": whole["variants"][variant]}
    decisive["plugins"] = study.plugins(variant)
    return _sha256(decisive)


def of_cost(study: "Study", variant: str) -> str:
    """The fingerprint of the cost of a variant.

    Args:
        study: The study, with the settings of the variant; see `Study.of`.
        variant: One of its variants.
    """
    whole = study.model_dump(mode="json", exclude={"dataset"})
    decisive: dict[str, Any] = {key: whole[key] for key in ("model", "task")}
    info = study.dataset.describe()
    decisive["shapes"] = [str(shape) for shape in info.batch(study.training.batch_size)]
    decisive["classes"], decisive["vocabulary"] = info.classes, info.vocabulary
    decisive["training"] = {
        key: whole["training"][key] for key in ("optimizer", "augmentation", "weight_decay")
    }
    if study.training.precision != "float32":
        decisive["training"]["precision"] = study.training.precision
    decisive |= {"variant": whole["variants"][variant], "plugins": study.plugins(variant)}
    return _sha256(decisive)


def _forget_defaults(dumped: dict[str, Any], training: Training) -> None:
    """Removes keys that were added later from a dumped `[training]`, if they have defaults."""
    for key in _LATER:
        if getattr(training, key) == Training.model_fields[key].default:
            del dumped[key]


def _sha256(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
