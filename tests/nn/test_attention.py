import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import export
from jax.flatten_util import ravel_pytree

from jaxpool import nn
from tests import differences, masking

pytestmark = pytest.mark.usefixtures("compile_quickly")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(3, 2, 3, 8)).astype(np.float32)
MASK = RNG.random((3, 2, 3, 1)) < 0.6
MASK[1] = False


def clip(features=8, **options):
    options = {"num_heads": 2, "out_features": 6, "rngs": nnx.Rngs(0)} | options
    return scattered(nn.AttentionPool(features, (2, 3), **options))


def latent(features=8, **options):
    options = {
        "num_latents": 2,
        "num_heads": 2,
        "hidden_features": 5,
        "rngs": nnx.Rngs(0),
    } | options
    return scattered(nn.LatentPool(features, **options))


def scattered(module):
    """Replaces the initial biases (0) and scales (1) of a module by random numbers."""
    rng = np.random.default_rng(1)
    nnx.update(
        module,
        jax.tree.map(lambda p: p + 0.3 * rng.normal(size=p.shape), nnx.state(module, nnx.Param)),
    )
    return module


@pytest.fixture(params=[clip, latent])
def build(request):
    return request.param


def apply(layer, x):
    return x @ np.float64(layer.kernel[...]) + np.float64(layer.bias[...])


def attend(attention, queries, elements):
    """Attention in loops over heads and queries; an empty set gives 0 before the last layer."""
    heads = attention.num_heads
    width = queries.shape[-1] // heads
    rows = []
    for query in apply(attention.query, queries):
        row = np.zeros(queries.shape[-1])
        for head in range(heads if len(elements) else 0):
            part = slice(head * width, (head + 1) * width)
            keys = apply(attention.key, elements)[:, part]
            values = apply(attention.value, elements)[:, part]
            weights = np.exp(keys @ query[part] / np.sqrt(width))
            row[part] = weights @ values / weights.sum()
        rows.append(row)
    return apply(attention.out, np.stack(rows))


def normalised(norm, x):
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
    return x * np.float64(norm.scale[...]) + np.float64(norm.bias[...])


def judge(module, x, present):
    """The definition of the module for the unmasked elements of one map."""
    elements = np.float64(x).reshape(-1, x.shape[-1])
    present = np.broadcast_to(present, x[..., :1].shape).ravel()
    if isinstance(module, nn.AttentionPool):
        if not present.any():
            return np.zeros(6)
        positions = np.float64(module.positions[...])
        mean = elements[present].mean(0) + positions[0]
        kept = (elements + positions[1:])[present]
        return attend(module.attention, mean[None], np.concatenate([mean[None], kept]))[0]
    latents = np.float64(module.latents[...])
    if not present.any():
        return np.zeros(latents.shape)
    h = normalised(
        module.first_norm, latents + attend(module.attention, latents, elements[present])
    )
    fed = apply(module.narrow, np.maximum(apply(module.widen, h), 0))
    return normalised(module.last_norm, h + fed)


def test_values_and_masks(build):
    """Values agree with the definition; masked elements affect neither values nor gradients."""
    module = build()
    plain, masked, of_module = masking.leak_free(module, X, MASK)
    close = {"rtol": 1e-4, "atol": 1e-5}
    np.testing.assert_allclose(plain, [judge(module, x, True) for x in X], **close)
    expected = [judge(module, x, there) for x, there in zip(X, MASK, strict=True)]
    np.testing.assert_allclose(masked, expected, **close)
    np.testing.assert_array_equal(masked[1], 0)
    gradient = nnx.to_flat_state(nnx.state(of_module))
    still = [path for path, leaf in gradient if np.max(np.abs(leaf[...])) < 1e-5]
    assert still == [("attention", "key", "bias")]  # cancels in the softmax


def test_derivatives_in_input_and_parameters(build):
    with jax.enable_x64(True):
        definition, state = nnx.split(build(3, num_heads=1))
        vector, unravel = ravel_pytree(jax.tree.map(np.float64, state))
        where = np.array([[True, False, True], [True, True, False]])[None, :, :, None]

        def function(x, vector):
            return nnx.merge(definition, unravel(vector))(x, where=where)

        x = np.random.default_rng(1).normal(size=(1, 2, 3, 3))
        differences.check(function, jnp.asarray(x), vector)


@pytest.mark.parametrize("masked", [False, True])
def test_against_torch(masked):
    """Agrees with PyTorch's attention, composed as in CLIP, for the same parameters."""
    torch = pytest.importorskip("torch")
    head = clip()
    attention = head.attention
    where = np.arange(6).reshape(2, 3, 1) < (4 if masked else 6)

    def tensor(array):
        return torch.tensor(np.array(array))

    tokens = tensor(X).reshape(3, 6, 8)
    mean = tokens[:, : where.sum()].mean(1, keepdim=True)
    tokens = torch.cat([mean, tokens], 1) + tensor(head.positions[...])
    tokens = tokens.transpose(0, 1)
    padding = torch.tensor([False, *~where.ravel()]).expand(3, 7)
    layers = (attention.query, attention.key, attention.value)
    query, key, value = (tensor(layer.kernel[...].T) for layer in layers)
    expected, _ = torch.nn.functional.multi_head_attention_forward(
        query=tokens[:1],
        key=tokens,
        value=tokens,
        embed_dim_to_check=8,
        num_heads=2,
        q_proj_weight=query,
        k_proj_weight=key,
        v_proj_weight=value,
        in_proj_weight=None,
        in_proj_bias=torch.cat([tensor(layer.bias[...]) for layer in layers]),
        bias_k=None,
        bias_v=None,
        add_zero_attn=False,
        dropout_p=0.0,
        out_proj_weight=tensor(attention.out.kernel[...].T),
        out_proj_bias=tensor(attention.out.bias[...]),
        use_separate_proj_weight=True,
        training=False,
        need_weights=False,
        key_padding_mask=padding if masked else None,
    )
    y = jax.jit(lambda x: head(x, where=where))(X)
    np.testing.assert_allclose(y, expected[0].numpy(), rtol=1e-4, atol=1e-5)


def test_batches_order_and_transformations():
    """Under batching, vmap and export with a symbolic batch; latents ignore the order."""
    head, pool = clip(), latent()

    @jax.jit
    def every(head, pool, x):
        whole = head(x), pool(x)
        elements = x.reshape(3, 6, 8)
        return (
            whole,
            (jax.vmap(head)(x), jax.vmap(lambda x: pool(x.reshape(6, 8)))(x)),
            (head(x[None])[0], pool(elements)),
            (jnp.stack([head(x[i]) for i in range(3)]), pool(elements[:, ::-1])),
            (head(x, where=jnp.ones((), bool)), pool(x, where=jnp.ones((1, 1, 1), bool))),
        )

    whole, *others = every(head, pool, X)
    assert whole[0].shape == (3, 6)
    assert whole[1].shape == (3, 2, 8)
    (batch,) = export.symbolic_shape("batch")
    signature = jax.ShapeDtypeStruct((batch, *X.shape[1:]), X.dtype)
    exported = export.export(jax.jit(lambda x: (head(x), pool(x))))(signature)
    for other in (*others, exported.call(X)):
        for result, expected in zip(other, whole, strict=True):
            np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_the_dtype_is_that_of_the_input_and_parameters_stay_in_single(build, dtype):
    module = build()
    half, wide = jax.jit(lambda x: (module(x.astype(dtype)), module(x)))(X)
    assert half.dtype == dtype
    assert {leaf.dtype for leaf in jax.tree.leaves(nnx.state(module))} == {np.dtype(np.float32)}
    atol = 30 * float(jnp.finfo(dtype).eps)
    np.testing.assert_allclose(np.float32(half), wide, atol=atol)


def test_float64_is_not_computed_in_single(build):
    module = build()
    with jax.enable_x64(True):
        x = np.float64(X)
        y = jax.jit(lambda x: module(x))(x)
        assert y.dtype == np.float64
        np.testing.assert_allclose(y, [judge(module, x, True) for x in x], rtol=1e-10)


def test_parameters(build):
    """The number of parameters, and the module after split and merge."""
    module = build()
    definition, state = nnx.split(module)
    attention = 3 * (8 * 8 + 8)
    expected = {
        nn.AttentionPool: attention + (8 * 6 + 6) + 7 * 8,
        nn.LatentPool: attention + (8 * 8 + 8) + 2 * 8 + 4 * 8 + (8 * 5 + 5) + (5 * 8 + 8),
    }
    assert sum(leaf.size for leaf in jax.tree.leaves(state)) == expected[type(module)]
    again = nnx.merge(definition, state)
    one, other, through = jax.jit(lambda m, n, x: (m(x), n(x), m(x, where=x[..., :1] > 9)))(
        module, again, X
    )
    np.testing.assert_array_equal(one, other)
    assert not np.any(through)


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: clip(num_heads=3), ValueError, "num_heads must divide features=8, got 3"),
        (lambda: latent(num_heads=0), ValueError, "num_heads must be at least 1, got 0"),
        (lambda: latent(num_heads=2.0), TypeError, r"num_heads must be an int, got 2\.0"),
        (lambda: clip((8,)), TypeError, r"features must be an int, got \(8,\)"),
        (lambda: latent(0), ValueError, "features must be at least 1, got 0"),
        (lambda: clip(out_features=0), ValueError, "out_features must be at least 1, got 0"),
        (lambda: latent(num_latents=0), ValueError, "num_latents must be at least 1, got 0"),
        (lambda: latent(num_latents=True), TypeError, "num_latents must be an int, got True"),
        (lambda: latent(hidden_features="8"), TypeError, "hidden_features must be an int, got '8'"),
        (lambda: clip(rngs=0), TypeError, r"rngs must be nnx\.Rngs, .* got 0"),
        (lambda: latent(rngs=None), TypeError, r"rngs must be nnx\.Rngs, .* got None"),
        (
            lambda: latent(rngs=nnx.Rngs(dropout=0)),
            ValueError,
            r"rngs must have a stream 'params' or 'default', got only \['dropout'\]",
        ),
        *(
            (
                lambda shape=shape: nn.AttentionPool(8, shape, num_heads=2, rngs=nnx.Rngs(0)),
                TypeError,
                f"spatial_shape must be .* got {got}",
            )
            for shape, got in [(7, "7"), (None, "None"), ("7", "'7'"), ((4, 5.0), r"\(4, 5.0\)")]
        ),
        (
            lambda: nn.AttentionPool(8, (4, 0), num_heads=2, rngs=nnx.Rngs(0)),
            ValueError,
            r"spatial_shape must be integers of at least 1, got \(4, 0\)",
        ),
        (
            lambda: nn.AttentionPool(8, (), num_heads=2, rngs=nnx.Rngs(0)),
            ValueError,
            r"spatial_shape must have at least one entry, got \(\)",
        ),
        (
            lambda: clip()(X.swapaxes(1, 2)),
            ValueError,
            r"x must have the shape \(\*batch, 2, 3, 8\), got \(3, 3, 2, 8\)",
        ),
        (
            lambda: latent()(X[..., 1:]),
            ValueError,
            r"x must have the shape \(batch, \*spatial, 8\), got \(3, 2, 3, 7\)",
        ),
        (lambda: latent()(X[0, 0, 0]), ValueError, r"x must have the shape .* got \(8,\)"),
        (
            lambda: latent()(X[:, :0]),
            ValueError,
            r"x must have at least one element to pool, got shape \(3, 0, 3, 8\)",
        ),
        (lambda: clip()(X > 0), TypeError, "x must be of a floating dtype, got bool"),
        (lambda: latent()([[1.0]]), TypeError, "x must be an array, got list"),
        (lambda: clip()(X, where=MASK * 1), TypeError, "where must be of dtype bool, got int"),
        (
            lambda: latent()(X, where=X > 0),
            ValueError,
            r"where must have size 1 along the last axis, .* got shape \(3, 2, 3, 8\)",
        ),
        (
            lambda: clip()(X, where=MASK[:2]),
            ValueError,
            r"where of shape \(2, 2, 3, 1\) does not broadcast",
        ),
    ],
)
def test_bad_arguments(build, error, message):
    with pytest.raises(error, match=message):
        build()
