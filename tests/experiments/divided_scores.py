"""Scores one split in one of two processes, in memory and streamed, and prints what it read.

python -m tests.experiments.divided_scores HOST:PORT NUMBER CONFIG
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np

from experiments import evaluation, parallel
from experiments.config import load

CHUNK = 8
SEED = 3


class Watched:
    """A source that notes which examples were read."""

    def __init__(self, source):
        self.source, self.read = source, []

    def __len__(self):
        return len(self.source)

    def __getitem__(self, number):
        self.read.append(number)
        return self.source[number]


def scored(study, stream):
    """The scores of the test split, and the number of its examples that this process holds."""
    data = parallel.host(study.dataset.limited())
    if stream:
        watched = Watched(data.test[0].source)
        data = replace(data, test=(replace(data.test[0], source=watched),))
    runner = parallel.Parallel(study, "max", data)
    scores = runner.score(runner.place(runner.programs.init(SEED)), 1, data.test)
    if stream:
        places = np.searchsorted(data.test[0].chosen, watched.read)
        held = sorted(places.tolist())
    else:
        ((_, labels, _),) = runner._placed.values()
        held = sum(shard.data.size for shard in labels.addressable_shards)
    return {name: [float(one[0]) for one in pair] for name, pair in scores.items()}, held


if __name__ == "__main__":
    address, number, config = sys.argv[1:]
    jax.config.update("jax_num_cpu_devices", 2)
    jax.distributed.initialize(address, 2, int(number), cluster_detection_method="deactivate")
    evaluation.EVALUATION_CHUNK = CHUNK
    for stream in (False, True):
        study = load(
            Path(config), ["training.data_parallel=true", f"dataset.stream={str(stream).lower()}"]
        )
        print(json.dumps(scored(study, stream)))
