from pathlib import Path

import pytest

from experiments.bench.case import Case
from experiments.bench.config import Bench
from experiments.config import ConfigError, load

BENCHES = sorted((Path(__file__).parents[3] / "configs" / "bench").glob("*.toml"))


def case(**given):
    return Case.model_validate(
        {"name": "c", "operator": "max", "shape": [2, 9, 8, 3], "window": 3, **given}
    )


def refusal(tmp_path, case_text, top='contenders = ["jaxpool"]'):
    file = tmp_path / "x.toml"
    head = f'title = "x"\n{top}\n[[cases]]\nname = "a"\noperator = "max"\nshape = [1, 8, 8, 1]\n'
    file.write_text(head + case_text)
    with pytest.raises(ConfigError) as error:
        load(file, (), Bench)
    return str(error.value)


def test_same_padding_puts_the_odd_element_on_the_high_side():
    # 9 in steps of 2: 5 windows reach (5 - 1) * 2 + 3 = 11, so 2 are missing; 8: 4 windows, 9, 1.
    c = case(padding="SAME", strides=2)
    assert c.pads == ((1, 1), (0, 1))
    assert c.output_shape == (2, 5, 4, 3)
    assert c.symmetric_pads is None


def test_dilation_widens_the_window():
    assert case(dilation=3).output == (3, 2)
    assert case(dilation=2, padding=2).output == (9, 8)


def test_a_global_window_is_the_whole_map():
    c = case(window="global")
    assert c.windows == (9, 8)
    assert c.output_shape == (2, 1, 1, 3)
    assert c.describe() == "max 2x9x8x3 global"


def test_a_case_is_described_by_operator_shape_and_geometry():
    text = case(operator="avg", window=[2, 3], strides=2, padding=1).describe()
    assert text == "avg 2x9x8x3 k2x3 s2 p1"
    text = case(operator="avg", padding="SAME", dilation=2, count_include_pad=False).describe()
    assert text == "avg 2x9x8x3 k3 s1 d2 SAME padding not counted"


def test_traffic_counts_each_operand_and_result_once():
    c = case(strides=3)  # 432 elements in, 36 out
    assert c.output_shape == (2, 3, 2, 3)
    assert c.traffic_bytes("float32", "forward") == 4 * (432 + 36)
    assert c.traffic_bytes("bfloat16", "gradient") == 2 * 2 * (432 + 36)


@pytest.mark.parametrize("file", BENCHES, ids=lambda file: file.stem)
def test_the_published_benchmarks_can_be_read(file):
    bench = load(file, (), Bench)
    assert bench.name == file.stem
    assert file.read_text().startswith("# ")


def test_core_toml_has_15_cases_of_which_four_also_in_bfloat16():
    core = load(next(file for file in BENCHES if file.stem == "core"), (), Bench)
    assert len(core.cases) == 15
    in_half = {c.name for c in core.cases if "bfloat16" in c.dtypes}
    assert in_half == {"resnet-stem", "vgg", "densenet", "global-avg"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("window = 9", "cases.0.window = 9: does not fit the padded map of sizes [8, 8]"),
        ("window = 2\nstrids = 2", "cases.0.strids = 2: unknown key; did you mean 'strides'?"),
        ("window = 'global'\nstrides = 2", "strides = 2: has no meaning with window = 'global'"),
        ("window = [2, 2, 2]", "must have 2 entries, one per spatial axis of shape [1, 8, 8, 1]"),
        ("window = 2\nleave_out.torhc = ''", "leaves out 'torhc'; did you mean 'torch'?"),
        (
            "window = 2\n[[cases]]\nname = 'a'\noperator = 'max'\nshape = [1, 4, 1]\nwindow = 2",
            "the name 'a' is used twice",
        ),
    ],
)
def test_a_case_that_makes_no_sense_is_refused(tmp_path, text, message):
    assert message in refusal(tmp_path, text)


@pytest.mark.parametrize(
    ("top", "message"),
    [
        ('contenders = ["torhc"]', "unknown contender 'torhc'; did you mean 'torch'?"),
        ('contenders = ["torch", "jaxpool:itself"]', "'jaxpool:itself' needs 'jaxpool' beside it"),
        ('contenders = ["jaxpool"]\nmodes = ["forwards"]', "did you mean 'forward'?"),
        ('contenders = ["jaxpool"]\nbudget.secnds = 3', "did you mean 'seconds'?"),
    ],
)
def test_a_benchmark_that_makes_no_sense_is_refused(tmp_path, top, message):
    assert message in refusal(tmp_path, "window = 2", top)
