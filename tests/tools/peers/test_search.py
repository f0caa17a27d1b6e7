import pytest

from experiments.records import RecordError
from tests.tools.peers import made_up
from tools.peers.library import Adapter, load
from tools.peers.search import search, signature


def pool(x):
    return x


def test_every_pooling_is_found_and_assigned_to_its_list(monkeypatch):
    made_up.install(
        monkeypatch,
        max_pool=pool,
        MaxPool2d=pool,
        odd_pool=pool,
        thread_pool=pool,
        total=pool,
        _hidden_pool=pool,
        pooling="no function",
    )
    found = search(
        made_up.library(
            adapters={
                "max_pool": Adapter(pool, ("made_up.max_pool",), ("made_up.MaxPool?d",)),
                "global_sum_pool": Adapter(pool, ("made_up.total",)),
            },
            extras={"odd sums": ("made_up.odd_*",)},
            aside={"threads": ("made_up.thread_pool",)},
        )
    )
    assert found.claimed == {
        "max_pool": ("made_up.MaxPool2d", "made_up.max_pool"),
        "global_sum_pool": (),
    }
    assert found.extras == {"odd sums": ("made_up.odd_pool",)}
    assert found.aside == {"threads": ("made_up.thread_pool",)}


@pytest.mark.parametrize(
    "name",
    ["new_pool", "AdaptivePool1d", "roi_warp", "RoIWarp", "BlurDown", "median_filter", "erosion9"],
)
def test_a_pooling_that_no_list_contains_is_an_error(monkeypatch, name):
    made_up.install(monkeypatch, **{"max_pool": pool, name: pool})
    with pytest.raises(RecordError, match=f"made_up: no row claims made_up.{name}"):
        search(made_up.library())


@pytest.mark.parametrize(
    "changes",
    [
        {"adapters": {"max_pool": Adapter(pool, ("made_up.max_pool", "made_up.gone"))}},
        {"adapters": {"max_pool": Adapter(pool, ("made_up.max_pool",), ("made_up.gone*",))}},
        {"extras": {"odd sums": ("made_up.gone_pool",)}},
        {"aside": {"threads": ("made_up.gone_pool",)}},
        {"aside": {"threads": ("nowhere.gone_pool",)}},
    ],
    ids=["call", "alias", "extra", "aside", "module"],
)
def test_a_listed_name_that_does_not_exist_is_an_error(monkeypatch, changes):
    made_up.install(monkeypatch, max_pool=pool)
    with pytest.raises(RecordError, match=r"made_up: there is no (made_up|nowhere)\.gone"):
        search(made_up.library(**changes))


@pytest.mark.parametrize("peer", ["flax", "torch", "equinox"])
def test_all_poolings_of_the_installed_peers_are_listed(peer):
    pytest.importorskip(peer)
    library = load(peer)
    assert set(library.adapters) == set(search(library).claimed)


def test_a_signature_has_the_parameters_that_are_known(monkeypatch):
    made_up.install(monkeypatch, max_pool1d=pool, max_pool2d=pool, any_pool=lambda *args: args)
    assert signature("made_up.max_pool?d", ["made_up"]) == "made_up.max_pool?d(x)"
    assert signature("made_up.any_pool", ["made_up"]) == "made_up.any_pool"
    assert signature("builtins.max", ()) == "builtins.max"
