"""Constants of a module that a fixture sets to one value after the other."""

import jax
import pytest


def setting(module, name, **values):
    """A fixture that sets a constant for all tests of a file; a keyword names each value."""

    @pytest.fixture(params=values.values(), ids=list(values), scope="module")
    def fixture(request):
        before = getattr(module, name)
        setattr(module, name, request.param)
        jax.clear_caches()  # programs were made with the value before
        yield
        setattr(module, name, before)
        jax.clear_caches()

    return fixture
