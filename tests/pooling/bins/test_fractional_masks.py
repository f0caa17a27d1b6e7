import itertools

import numpy as np
import pytest

import jaxpool
from tests import geometry, oracle, quick, uneven

BETTER = oracle.BETTER["max"]
BOUNDARIES = [0, 2, 3, 5, 7]
U = 0.3  # the sample of every plane in PyTorch's form: 7 elements, 4 windows of 2
STARTS = [*(int((i + U) * 5 / 3) - int(U * 5 / 3) for i in range(3)), 5]
FORMS = {
    "PyTorch's": (2, np.full((1,), U, np.float32), [(start, start + 2) for start in STARTS]),
    "TensorFlow's": (None, (np.array(BOUNDARIES),), list(itertools.pairwise(BOUNDARIES))),
}


@pytest.mark.parametrize("form", FORMS)
def test_masked_elements_do_not_exist(form):
    window, samples, spans = FORMS[form]
    x = geometry.awkward(np.random.default_rng(0), (2, 7, 3))
    where = np.random.default_rng(1).random(x.shape) < 0.5

    @quick.jit
    def every(x):
        options = {"samples": samples, "where": where}
        return (
            jaxpool.fractional_max_pool(x, window, 4, **options),
            jaxpool.fractional_max_pool_with_argmax(x, window, 4, **options)[1],
            jaxpool.fractional_avg_pool(x, window, 4, **options),
        )

    def judge(function):
        return uneven.pool(x, lambda image, channel: [spans], function, where)

    largest, indices, mean = every(np.where(where, x, np.nan))
    np.testing.assert_array_equal(largest, judge(oracle.extreme(BETTER, -np.inf)))
    np.testing.assert_array_equal(indices, judge(oracle.where_extreme(BETTER)))
    np.testing.assert_allclose(mean, judge(oracle.average()), rtol=1e-6)
    assert (indices == -1).any()
