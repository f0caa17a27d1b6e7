import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import export

from jaxpool import nn

X = jax.random.normal(jax.random.key(0), (3, 4, 5, 8))


def pool(rngs=0, **options):
    return nn.AttentionPool(8, (4, 5), num_heads=2, out_features=6, rngs=nnx.Rngs(rngs), **options)


def latent(**options):
    return nn.LatentPool(8, num_latents=2, num_heads=2, rngs=nnx.Rngs(0), **options)


@pytest.fixture(params=[pool, latent], ids=["CLIP", "latent"])
def module(request):
    return request.param()


def test_against_torch():
    """With the same parameters, PyTorch's own attention, composed as CLIP does."""
    torch = pytest.importorskip("torch")
    head = pool()
    attention = head.attention

    def tensor(array):
        return torch.tensor(np.array(array))

    tokens = tensor(X).reshape(3, 20, 8)
    tokens = torch.cat([tokens.mean(1, keepdim=True), tokens], 1) + tensor(head.positions[...])
    tokens = tokens.transpose(0, 1)
    expected, _ = torch.nn.functional.multi_head_attention_forward(
        query=tokens[:1],
        key=tokens,
        value=tokens,
        embed_dim_to_check=8,
        num_heads=2,
        q_proj_weight=tensor(attention.query.kernel[...].T),
        k_proj_weight=tensor(attention.key.kernel[...].T),
        v_proj_weight=tensor(attention.value.kernel[...].T),
        in_proj_weight=None,
        in_proj_bias=torch.zeros(24),
        bias_k=None,
        bias_v=None,
        add_zero_attn=False,
        dropout_p=0.0,
        out_proj_weight=tensor(attention.out.kernel[...].T),
        out_proj_bias=tensor(attention.out.bias[...]),
        use_separate_proj_weight=True,
        need_weights=False,
    )
    np.testing.assert_allclose(head(X), expected[0].numpy(), rtol=1e-4, atol=1e-5)


def test_shapes(module):
    tail = (6,) if isinstance(module, nn.AttentionPool) else (2, 8)
    assert module(X).shape == (3, *tail)
    if isinstance(module, nn.AttentionPool):
        assert module(X[0]).shape == tail
        assert module(X[None]).shape == (1, 3, *tail)
    else:
        assert module(X[0, 0]).shape == tail
        assert module(X[:, 0]).shape == (3, *tail)


def test_masked_elements_may_be_anything(module):
    where = jax.random.bernoulli(jax.random.key(1), 0.6, (3, 4, 5, 1)).at[1].set(False)
    spoilt = jnp.where(where, X, jnp.nan)

    def loss(module, x):
        return jnp.sum(module(x, where=where) ** 2)

    for result, expected in [
        (module(spoilt, where=where), module(X, where=where)),
        (jax.grad(loss, 1)(module, spoilt), jax.grad(loss, 1)(module, X)),
    ]:
        np.testing.assert_array_equal(result, expected)
        assert not np.any(expected[1])
    parameters = jax.tree.leaves(nnx.grad(loss)(module, spoilt))
    assert all(np.all(np.isfinite(leaf)) for leaf in parameters)
    everything = module(X, where=jnp.ones((1, 1, 1), bool))
    np.testing.assert_allclose(everything, module(X), rtol=1e-5, atol=1e-6)


def test_a_mask_is_as_if_the_elements_were_not_there():
    module = latent()
    where = jnp.arange(5)[:, None] < 3
    np.testing.assert_allclose(module(X, where=where), module(X[:, :, :3]), rtol=1e-5, atol=1e-5)


def test_latents_do_not_see_an_order():
    x = X.reshape(3, 20, 8)
    shuffled = jax.random.permutation(jax.random.key(1), x, axis=1)
    np.testing.assert_allclose(latent()(x), latent()(shuffled), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_the_dtype_follows_the_input(module, dtype):
    y = module(X.astype(dtype))
    assert y.dtype == dtype
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(nnx.state(module)))
    np.testing.assert_allclose(y.astype(jnp.float32), module(X), rtol=0.1, atol=0.1)


def test_under_transformations(module):
    expected = module(X)
    np.testing.assert_allclose(
        nnx.jit(lambda m, x: m(x))(module, X), expected, rtol=1e-5, atol=1e-6
    )
    one = jax.vmap(lambda x: module(x[None])[0])(X)
    np.testing.assert_allclose(one, expected, rtol=1e-5, atol=1e-6)
    (batch,) = export.symbolic_shape("batch")
    signature = jax.ShapeDtypeStruct((batch, *X.shape[1:]), X.dtype)
    exported = export.export(jax.jit(lambda x: module(x)))(signature)
    np.testing.assert_allclose(exported.call(X), expected, rtol=1e-5, atol=1e-6)
    gradient = nnx.grad(lambda m: jnp.sum(jnp.sin(m(X))))(module)
    still = [path for path, leaf in nnx.to_flat_state(gradient) if not np.any(leaf[...])]
    assert still in ([], [("attention", "key", "bias")])  # the softmax does not see that bias


def test_bad_arguments():
    rngs = nnx.Rngs(0)
    with pytest.raises(ValueError, match="num_heads must divide features=8, got 3"):
        nn.AttentionPool(8, 4, num_heads=3, rngs=rngs)
    with pytest.raises(TypeError, match=r"spatial_shape must be .* got \(4, 5.0\)"):
        nn.AttentionPool(8, (4, 5.0), num_heads=2, rngs=rngs)
    with pytest.raises(ValueError, match=r"shape \(\*batch, 4, 5, 8\), got \(3, 5, 4, 8\)"):
        pool()(X.swapaxes(1, 2))
    with pytest.raises(ValueError, match="num_latents must be integers of at least 1, got 0"):
        nn.LatentPool(8, num_latents=0, rngs=rngs)
    with pytest.raises(ValueError, match=r"shape \(batch, \*spatial, 8\), got \(3, 4, 5, 7\)"):
        latent()(X[..., 1:])
    with pytest.raises(ValueError, match=r"where of shape \(3, 4, 5, 8\) does not broadcast"):
        latent()(X, where=jnp.ones(X.shape, bool))
