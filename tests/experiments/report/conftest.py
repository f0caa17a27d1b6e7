import pytest


@pytest.fixture
def folder(make_study):
    return make_study(
        "quickstart",
        {"max_pool": [950, 953, 951, 954, 952], "none": [930, 932, 932, 933, 933]},
        speeds={"none": 123_456},
    )
