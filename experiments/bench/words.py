"""Formatting of modes, names and durations for readers."""

MODES = {
    "forward": "forward",
    "gradient": "forward + backward",
    "jvp": "forward-mode derivative",
    "eager": "forward, not compiled",
    "train_step": "training step",
}
LABELS = {
    "jaxpool": "jaxpool",
    "before": "jaxpool before",
    "max_pool": "max_pool",
    "torch": "PyTorch",
    "lax": "lax",
    "flax": "Flax",
    "onnxruntime": "ONNX Runtime",
    "equinox": "Equinox",
    "haiku": "Haiku",
}


def duration(seconds: float) -> str:
    """Formats a duration with three significant digits in a suitable unit.

    Example:
        >>> duration(0.01234), duration(2), duration(5.67e-6)
        ('12.3 ms', '2 s', '5.67 µs')
    """
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} µs"
