import pytest


@pytest.fixture(autouse=True, scope="module")
def poolings_are_compiled_quickly(compile_quickly):
    """Most of the time of these tests is compilation, of single operations as well.

    The tests of the engine, of bugs of others and the doctests run what XLA compiles by default.
    """
