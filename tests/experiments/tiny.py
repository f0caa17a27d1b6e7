"""A study that trains and measures in seconds, most of them compilation."""

from experiments.config import load

TINY = """
[dataset]
name = "digits"
train_limit = 96
test_limit = 50

[model]
widths = [4]

[training]
epochs = 3
batch_size = 16
learning_rate = 1e-2
warmup_epochs = 1
weight_decay = 1e-2
seeds = [0, 7]

[measurement]
seconds = 0.1
rounds = 6
latency_samples = 100

[variants.max]
pool = "max_pool"
window = 2

[variants.strided]
pool = "strided"
"""


def write_tiny(folder):
    path = folder / "tiny.toml"
    path.write_text(TINY)
    return path


def tiny_study(folder, *overrides):
    return load(write_tiny(folder), overrides)
