"""Plug-ins through the command line: the examples, and errors."""

import hashlib
import json
import shutil
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from experiments import plugins
from experiments.__main__ import app
from experiments.checks import refuse_impossible
from experiments.config import load
from experiments.programs import Programs
from tests.experiments.plugged import fresh_registry
from tests.experiments.tiny import write_tiny

EXAMPLES = Path(__file__).parents[2] / "examples"
NAMES = ("dataset_plugin.py", "pooling_plugin.py", "model_plugin.py")
TINY = [
    "dataset.examples=40",
    "model.width=2",
    "training.epochs=1",
    "training.batch_size=20",
    "training.seeds=[0]",
    "measurement={seconds=0.1, rounds=6, latency_samples=100}",
    "variants={range={pool='range_pool', window=2}}",
]
GATE = "variants.gate.arguments={channels=2}"


@pytest.fixture
def own_registry():
    with fresh_registry():
        yield


def run(config, out, files, changes=()):
    arguments = ["run", str(config), "--out", str(out)]
    arguments += [part for file in files for part in ("--plugin", str(file))]
    arguments += [part for change in changes for part in ("--set", change)]
    return CliRunner().invoke(app, arguments, env={"COLUMNS": "160"})


def complaint(ended):
    assert ended.exit_code == 2, ended.stderr
    assert "Traceback" not in ended.stderr
    return ended.stderr


def test_the_examples_run_and_a_changed_plugin_does_not_go_on_with_old_runs(tmp_path):
    for name in (*NAMES, "plugins.toml"):
        shutil.copy(EXAMPLES / name, tmp_path)
    config, files = tmp_path / "plugins.toml", [tmp_path / name for name in NAMES]
    with fresh_registry():
        ended = run(config, tmp_path, files, TINY)
        assert ended.exit_code == 0, ended.stderr
        study = load(config, TINY)
        fingerprints = [study.fingerprint("range"), study.cost_fingerprint("range")]
    assert "`range`" in (tmp_path / "plugins" / "summary.md").read_text()
    record = tmp_path / "plugins" / "runs" / "range" / "seed-0" / "record.json"
    digests = {name: hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() for name in NAMES}
    assert json.loads(record.read_text())["origin"]["plugins"] == digests

    for changed in NAMES:
        before = (tmp_path / changed).read_text()
        (tmp_path / changed).write_text(before + "\n# another version\n")
        with fresh_registry():
            ended = run(config, tmp_path, files, TINY)
            study = load(config, TINY)
            assert study.fingerprint("range") != fingerprints[0]
            assert study.cost_fingerprint("range") != fingerprints[1]
        assert f"plug-in {changed} was '{digests[changed]}', is '" in complaint(ended)
        (tmp_path / changed).write_text(before)


def test_a_pooling_of_a_class_learns_and_one_of_another_plugin_changes_nothing():
    with fresh_registry():
        plugins.load([str(EXAMPLES / name) for name in NAMES])
        study = load(EXAMPLES / "plugins.toml", [*TINY[:-1], GATE])
        refuse_impossible(study)
        state = Programs.build(study, "gate").init(0)
        assert state.parameters["pool"]["gate"].shape == (2,)
        assert len(study.plugins("range")) == 3
        assert len(load(EXAMPLES / "plugins.toml").plugins("max")) == 2


def test_examples_are_short_and_say_their_command():
    for name in NAMES:
        text = (EXAMPLES / name).read_text()
        assert text.count("\n") < 60
        command = text.split('"""')[1]
        assert "python -m experiments run examples/plugins.toml" in command
        assert all(f"--plugin examples/{other}" in command for other in NAMES)


@pytest.mark.parametrize(
    ("plugin", "expected"),
    [
        ("absent.py", "--plugin absent.py: not found; it must be a Python file or a module"),
        ("folder/absent", "--plugin folder/absent: not found"),
        ("no_such_module", "--plugin no_such_module: not found"),
        ("no.such.module", "--plugin no.such.module: cannot be imported"),
    ],
)
def test_unknown_plugins_are_refused(tmp_path, plugin, expected):
    ended = run(write_tiny(tmp_path), tmp_path, [plugin])
    assert expected in complaint(ended)
    assert not (tmp_path / "tiny").exists()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("def f(:", "SyntaxError"),
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        (
            "from experiments import register\nregister.dataset('digits')(int)",
            "dataset 'digits' is registered already; choose another name",
        ),
        (
            "from experiments import register\n"
            "for _ in range(2): register.pooling('mine')(lambda x: x)",
            "pooling 'mine' is registered already",
        ),
    ],
)
def test_a_plugin_that_cannot_be_imported_says_why(own_registry, tmp_path, text, expected):
    plugin = tmp_path / "mine.py"
    plugin.write_text(text)
    error = complaint(run(write_tiny(tmp_path), tmp_path, [plugin]))
    assert error.startswith(f"error: --plugin {plugin}: ")
    assert expected in error
    assert not [name for name in sys.modules if name.startswith("plugin_")]


def test_two_plugins_cannot_share_a_name(own_registry, tmp_path):
    text = "from experiments import register\nregister.pooling('mine')(lambda x: x)\n"
    for name in ("one.py", "two.py"):
        (tmp_path / name).write_text(text + f"# {name}\n")
    ended = run(write_tiny(tmp_path), tmp_path, [tmp_path / "one.py", tmp_path / "two.py"])
    assert "two.py: RegisterError: pooling 'mine' is registered already" in complaint(ended)


def test_a_plugin_replaces_no_module_of_the_same_name(own_registry, tmp_path):
    import random

    (tmp_path / "random.py").write_text("")
    run(write_tiny(tmp_path), tmp_path, [tmp_path / "random.py"], ["training.epochs=x"])
    assert sys.modules["random"] is random


def test_without_the_plugin_its_names_are_unknown(tmp_path):
    ended = run(EXAMPLES / "plugins.toml", tmp_path, [])
    assert 'dataset.name = "rings": unknown dataset' in complaint(ended)


def test_a_class_is_told_what_it_lacks_or_does_not_take(own_registry, tmp_path):
    for change, expected in (
        ("variants.gate.stride=2", "pool = 'channel_gate_pool' takes no stride"),
        ("variants.gate.arguments={}", "channels: missing; channel_gate_pool needs it"),
        ("variants.gate.arguments={chanels=8}", "did you mean 'channels'?"),
        ("dataset.noise='loud'", 'dataset.noise = "loud": must be a number'),
        ("model.kernel=3", "model.kernel = 3: unknown key"),
    ):
        ended = run(EXAMPLES / "plugins.toml", tmp_path, [EXAMPLES / n for n in NAMES], [change])
        assert expected in complaint(ended)
