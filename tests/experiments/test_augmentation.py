import jax
import jax.numpy as jnp
import numpy as np

from experiments.augmentation import augmented
from experiments.config.training import Augmentation

IMAGES = jnp.asarray(np.arange(1, 1 + 40 * 5 * 4 * 2, dtype=np.float32).reshape(40, 5, 4, 2))
SIGNALS = IMAGES[:, :, 0]
KEY = jax.random.key(3)


def is_shift(image, original, most):
    """Whether an image is the original, moved by up to `most` along each axis, 0 shifted in."""
    spatial = image.ndim - 1
    padded = np.pad(original, [*[(most, most)] * spatial, (0, 0)])
    for start in np.ndindex(*[2 * most + 1] * spatial):
        window = tuple(slice(s, s + n) for s, n in zip(start, image.shape[:-1], strict=True))
        if np.array_equal(image, padded[window]):
            return start
    return None


def test_no_augmentation_changes_nothing():
    assert augmented(IMAGES, Augmentation(), KEY) is IMAGES


def test_each_image_is_shifted_on_its_own_and_zeros_are_shifted_in():
    changed = np.asarray(augmented(IMAGES, Augmentation(shift=1), KEY))
    shifts = [
        is_shift(one, original, 1)
        for one, original in zip(changed, np.asarray(IMAGES), strict=True)
    ]
    assert None not in shifts
    assert len(set(shifts)) == 9


def test_signals_are_shifted_along_their_length():
    changed = np.asarray(augmented(SIGNALS, Augmentation(shift=2), KEY))
    originals = np.asarray(SIGNALS)
    shifts = {is_shift(a, b, 2) for a, b in zip(changed, originals, strict=True)}
    assert shifts == {(0,), (1,), (2,), (3,), (4,)}


def test_half_of_the_images_are_mirrored_left_to_right():
    changed = np.asarray(augmented(IMAGES, Augmentation(flip=True), KEY))
    originals = np.asarray(IMAGES)
    same = [np.array_equal(a, b) for a, b in zip(changed, originals, strict=True)]
    mirrored = [np.array_equal(a, b[:, ::-1]) for a, b in zip(changed, originals, strict=True)]
    assert all(a != b for a, b in zip(same, mirrored, strict=True))
    assert 8 < sum(mirrored) < 32


def test_changes_depend_on_the_key_only():
    options = Augmentation(shift=1, flip=True)
    one, same, other = (augmented(IMAGES, options, k) for k in (KEY, KEY, jax.random.key(4)))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_inputs_other_than_images_are_unchanged():
    inputs = {"tokens": jnp.ones((4, 3), jnp.int32)}
    assert augmented(inputs, Augmentation(shift=1, flip=True), KEY) is inputs
