"""Tests mirror the packages: `tests/FOLDER/test_FILE.py` tests `FILE.py` of the same folder.

`jaxpool/` is mirrored by `tests/` itself. `COVERED` names the tests of all other files.
"""

from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[1]

# Files without a test of their own: the tests that run them. They are parts of one mechanism, and
# are tested through it. Patterns are relative to the root; the most special one comes first.
COVERED = {
    "catalogue/*.py": "tests/test_catalogue.py",
    # Geometry and checks of arguments: tested through the windows, and through every operator.
    "jaxpool/axis.py": "tests/test_window.py tests/engine/plan/test_planner.py",
    "jaxpool/checks.py": "tests/test_bad_input.py",
    "jaxpool/monoid.py": "tests/engine/test_methods.py",
    "jaxpool/export.py": "tests/test_targets.py",
    "jaxpool/version.py": "tests/test_distribution.py",
    "jaxpool/compat/lax.py": "tests/conformance/test_lax.py",
    "jaxpool/pooling/*.py": "tests/test_bad_input.py tests/test_sharding.py",
    # Techniques of the engine: equal results, small programs.
    "jaxpool/engine/lower/*.py": "tests/engine/test_methods.py tests/engine/test_compiled.py",
    "jaxpool/engine/plan/t*.py": "tests/engine/plan/test_dispatch.py tests/test_targets.py",
    "jaxpool/engine/rules/folds.py": "tests/pooling/general/test_reduce_window.py",
    "jaxpool/engine/rules/*.py": "tests/test_modes.py tests/test_autodiff.py",
    # Helpers of operators: tested through the operators of their folder.
    "jaxpool/pooling/bins/_*.py": "tests/pooling/bins/test_fractional.py",
    "jaxpool/pooling/boxes/_*.py": "tests/pooling/boxes/test_roi.py",
    "jaxpool/pooling/general/_*.py": "tests/pooling/general/test_reduce_window.py",
    "jaxpool/pooling/windows/_log*.py": "tests/pooling/windows/test_soft.py",
    "jaxpool/pooling/windows/_sort*.py": "tests/pooling/windows/test_median.py",
    "jaxpool/nn/checks.py": "tests/nn/test_learned.py",
    # The lab: parts of a command are tested through the command.
    "experiments/bench/calls/*.py": "tests/experiments/bench/test_calls.py",
    "experiments/bench/contenders/*.py": "tests/experiments/bench/test_contenders.py",
    "experiments/bench/network/*.py": "tests/experiments/bench/test_network.py",
    "experiments/bench/sharding/*.py": "tests/experiments/bench/sharding/test_runner.py",
    "experiments/bench/*.py": "tests/experiments/bench/test_runner.py",
    "experiments/commands/*.py": "tests/experiments/test_command_line.py",
    "experiments/config/*.py": "tests/experiments/config/test_loading.py",
    "experiments/data/*.py": "tests/experiments/data/test_sources.py",
    "experiments/models/*.py": "tests/experiments/test_image_studies.py",
    "experiments/records/*.py": "tests/experiments/test_records.py",
    "experiments/report/page/*.py": "tests/experiments/report/page/test_study.py",
    "experiments/report/*.py": "tests/experiments/report/test_summary.py",
    "experiments/tasks/*.py": "tests/experiments/test_study.py",
    "experiments/tuning/*.py": "tests/experiments/tuning/test_settings.py",
    "experiments/workers/*.py": "tests/experiments/test_workers.py",
    "experiments/*.py": "tests/experiments/test_command_line.py tests/experiments/test_study.py",
    "tools/gallery/**/*.py": "tests/tools/gallery/test_page.py",
    "tools/peers/**/*.py": "tests/tools/peers/test_records.py tests/tools/peers/test_check.py",
    "tools/*.py": "tests/test_documents.py",
}


def sources():
    for package in ("jaxpool", "catalogue", "experiments", "tools"):
        for path in sorted((ROOT / package).rglob("*.py")):
            if path.name != "__init__.py":
                yield PurePosixPath(path.relative_to(ROOT).as_posix())


def own_test(source: PurePosixPath) -> PurePosixPath:
    folder = source.parent.relative_to("jaxpool") if source.parts[0] == "jaxpool" else source.parent
    return PurePosixPath("tests", folder, f"test_{source.stem.lstrip('_')}.py")


def test_every_file_has_a_test_of_its_own_or_names_those_that_cover_it():
    untested = {source for source in sources() if not (ROOT / own_test(source)).exists()}
    matched = {pattern: set(ROOT.glob(pattern)) for pattern in COVERED}
    for pattern, paths in matched.items():
        names = {PurePosixPath(path.relative_to(ROOT).as_posix()) for path in paths}
        assert names & untested, f"{pattern} names no file without a test of its own"
        untested -= names
    assert not untested, "add a test of the same name, or a line to COVERED"


def test_the_named_tests_exist():
    named = set(" ".join(COVERED.values()).split())
    assert {name for name in named if not (ROOT / name).is_file()} == set()
