"""Fixtures that set a module's constant to each of several values."""

import jax
import pytest


def setting(module, name, **values):
    """A fixture that sets a constant for all tests of a file; each keyword names one value."""

    @pytest.fixture(params=values.values(), ids=list(values), scope="module")
    def fixture(request):
        before = getattr(module, name)
        setattr(module, name, request.param)
        jax.clear_caches()  # compiled programs contain the previous value
        yield
        setattr(module, name, before)
        jax.clear_caches()

    return fixture
