"""`jax.lax.reduce_window` for any associative function, with every derivative."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer

from jaxpool import engine
from jaxpool.engine.rules.folds import Values
from jaxpool.monoid import MAX, MIN, SUM, Monoid
from jaxpool.pooling import arguments
from jaxpool.pooling.general import _full_window
from jaxpool.pooling.general._full_window import FullAxis, Part
from jaxpool.pooling.sharding import explicit_sharding
from jaxpool.window import Window

Tree = TypeVar("Tree")  # a JAX array, or a pytree of them
Reduce = Callable[[Values, Window], Values]

_MAXIMA = (lax.max, jnp.maximum)
_MINIMA = (lax.min, jnp.minimum)
_SUMS = (lax.add, jnp.add, operator.add)
_ANDS = (lax.bitwise_and, jnp.bitwise_and, jnp.logical_and, operator.and_)  # of booleans
_ORS = (lax.bitwise_or, jnp.bitwise_or, jnp.logical_or, operator.or_)


@explicit_sharding()
def reduce_window(
    operand: Tree,
    init_value: object,
    computation: Callable[[Tree, Tree], object],
    window_dimensions: Sequence[int],
    window_strides: Sequence[int] | None = None,
    padding: str | Sequence[Sequence[int]] = "VALID",
    base_dilation: Sequence[int] | None = None,
    window_dilation: Sequence[int] | None = None,
) -> Tree:
    """Reduce every window with any associative function: `jax.lax.reduce_window`, differentiable.

        y[o] = f(init, f(x[first element], f(x[second], ...)))

    over the elements of window `o` in row-major order. Positions added by `padding` and
    `base_dilation` are not elements. `init_value` is combined exactly once per window, on the left,
    and is the result of a window without an element. (`jax.lax.reduce_window` on CPU agrees, except
    for wide windows, where it combines `init_value` several times.)

    Max, min and add, and their equivalents in `jax.numpy` and `operator`, are computed as in
    `max_pool`, `min_pool` and `sum_pool`: NaN propagates, the first of several winners receives the
    derivative, and half precision is accumulated in float32. Any other function is applied to
    slices, so JAX differentiates it to every order in both modes, also with respect to `init_value`
    and to values that the function closes over.

    Args:
        operand: Array, or pytree of arrays of one shape, of any dtype (complex too) except integers
            of less than 4 bits and floats that are unsigned or of less than 8 bits.
        init_value: Scalar that JAX promotes to the operand's dtype, or pytree of scalars with the
            operand's structure. It may be traced. For max and min of integers, -inf and inf stand
            for the smallest and the largest integer.
        computation: Associative function of two scalars, or of two pytrees of scalars with the
            operand's structure, that returns one of the same type. It need not be commutative.
        window_dimensions: Size of the window along every axis of the operand.
        window_strides: Steps between windows; None means 1.
        padding: `"VALID"`, `"SAME"`, `"SAME_LOWER"`, or for every axis a pair `(low, high)`.
            Negative padding crops the operand.
        base_dilation: Distance between neighbouring elements of the operand after dilation; None
            means 1.
        window_dilation: Distance between neighbouring taps of a window; None means 1.

    Returns:
        Pytree of arrays with the structure and dtypes of `operand`. Along an axis, m positions
        after base dilation, windows of k taps and padding `(low, high)` give
        `(m + low + high - dilation * (k - 1) - 1) // stride + 1` outputs, at least 0.

    Raises:
        TypeError: `operand` is not an array or pytree of arrays, or has a dtype excluded above;
            `computation` is not a function; `init_value` or the result of `computation` has another
            structure, shape or dtype; `padding` is neither a name nor pairs of ints; or another
            argument is not a sequence of ints.
        ValueError: `operand` has no arrays, or arrays of different shapes; a sequence does not have
            one entry per axis; `padding` has another name; a size, stride or dilation is less than
            1; or an axis over which the window extends or moves has a symbolic size.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxpool import reduce_window
        >>> x = jnp.array([1.0, 2.0, 3.0, 4.0])
        >>> reduce_window(x, 1.0, jnp.multiply, (2,))
        Array([ 2.,  6., 12.], dtype=float32)
        >>> jax.grad(lambda x: reduce_window(x, 1.0, jnp.multiply, (2,)).sum())(x)
        Array([2., 4., 6., 3.], dtype=float32)

    When to use:
        For functions without an operator of their own: products, the range of a window, pairs of
        arrays. Also wherever `jax.lax.reduce_window` has no derivative.

    Source:
        `jax.lax.reduce_window`; XLA's ReduceWindow.
    """
    values, tree = _operands(operand)
    if not callable(computation):
        raise TypeError(f"computation must be a function of two arguments, got {computation!r}")
    shape = values[0].shape
    axes = _full_window.resolve(
        shape, window_dimensions, window_strides, padding, base_dilation, window_dilation
    )
    given = _scalars(init_value, tree)
    init: Any
    monoid = _monoid(computation, values)
    if monoid and _is_identity(given[0], monoid, values[0].dtype):
        init = (monoid.identity(values[0].dtype),)
        reduce = _by_engine(monoid, None)
    else:
        init = tuple(_typed(i, x) for i, x in zip(given, values, strict=True))
        reduce = _by_engine(monoid, init[0]) if monoid else _by_fold(computation, init, tree)
    return tree.unflatten(_assembled(values, init, reduce, axes))


def _operands(operand: Any) -> tuple[Values, Any]:
    leaves, tree = jax.tree.flatten(_unwrapped(operand))
    if not leaves:
        raise ValueError(f"operand must hold at least one array, got {operand!r}")
    for leaf in leaves:
        if not (hasattr(leaf, "shape") and hasattr(leaf, "dtype")):
            raise TypeError(f"operand must be an array or a pytree of arrays, got {operand!r}")
        arguments.check_width("operand", leaf.dtype)
    shapes = [tuple(leaf.shape) for leaf in leaves]
    if any(shape != shapes[0] for shape in shapes):
        raise ValueError(f"operand must hold arrays of one shape, got shapes {shapes}")
    return tuple(jnp.asarray(leaf) for leaf in leaves), tree


def _unwrapped(tree: Any) -> Any:
    return jax.tree.map(arguments.unwrapped, tree, is_leaf=arguments.is_wrapper)


def _scalars(init_value: Any, tree: Any) -> list[Any]:
    leaves, found = jax.tree.flatten(_unwrapped(init_value))
    if found != tree:
        raise TypeError(f"init_value must have the structure of operand, {tree}, got {found}")
    for leaf in leaves:
        numeric = hasattr(leaf, "dtype") or isinstance(leaf, int | float | complex)
        if not numeric or np.shape(leaf) != ():
            raise TypeError(f"init_value must be a scalar, or a pytree of them, got {init_value!r}")
    return leaves


def _typed(init: Any, x: jax.Array) -> jax.Array:
    """The scalar in the dtype of `x`; an error if type promotion would give another dtype."""
    if jnp.result_type(init, x.dtype) != x.dtype:
        raise TypeError(
            f"init_value must be of the operand's dtype, {x.dtype}, "
            f"got {init!r} of dtype {jnp.result_type(init)}"
        )
    return jnp.asarray(init, x.dtype)


def _monoid(computation: Callable, values: Values) -> Monoid | None:
    """The engine's monoid that computes the same function on this dtype, or None."""
    dtype = values[0].dtype
    if len(values) > 1 or jnp.issubdtype(dtype, jnp.complexfloating):
        return None
    truth = dtype == np.bool_
    for monoid, names in (
        (MAX, _MAXIMA + _ORS * truth),
        (MIN, _MINIMA + _ANDS * truth),
        (SUM, _SUMS * (not truth)),
    ):
        if any(computation is name for name in names):
            return monoid
    return None


def _is_identity(init: Any, monoid: Monoid, dtype: np.dtype) -> bool:
    """Whether a concrete scalar is the identity in this dtype, or in its own (-inf for ints)."""
    if isinstance(init, Tracer):
        return False
    scalar = np.asarray(init)
    if jnp.issubdtype(scalar.dtype, jnp.complexfloating):
        return False
    return any(scalar == monoid.identity(kind) for kind in (dtype, scalar.dtype))


def _by_engine(monoid: Monoid, init: jax.Array | None) -> Reduce:
    def reduce(values: Values, window: Window) -> Values:
        (x,) = values
        y = x.astype(arguments.accumulator(x)) if monoid is SUM else x
        if window.axes:
            y = engine.reduce(y, monoid, window)
        if init is not None:
            y = _beginning_with(init.astype(y.dtype), y, monoid)
        return (y.astype(x.dtype),)

    return reduce


def _beginning_with(init: jax.Array, y: jax.Array, monoid: Monoid) -> jax.Array:
    """`init` combined with `y`; `init` wins a tie, as the first element of a window does."""
    if monoid is SUM:
        return init + y
    wins = init >= y if monoid is MAX else init <= y
    return jnp.where(wins | (init != init), init, y)


def _by_fold(computation: Callable, init: Values, tree: Any) -> Reduce:
    scalars = tree.unflatten([jax.ShapeDtypeStruct((), i.dtype) for i in init])
    wanted, found = (
        jax.tree.map(lambda i: f"{i.dtype}{list(i.shape)}", result)
        for result in (scalars, jax.eval_shape(computation, scalars, scalars))
    )
    if wanted != found:
        raise TypeError(f"computation must return what it is given, {wanted}, got {found}")

    def combine(left: Values, right: Values) -> Values:
        def scalar(left: Values, right: Values) -> Values:
            return tuple(jax.tree.leaves(computation(tree.unflatten(left), tree.unflatten(right))))

        function = scalar
        for _ in range(left[0].ndim):
            function = jax.vmap(function)
        return function(left, right)

    return lambda values, window: engine.fold(values, init, combine, window)


def _assembled(
    values: Values, init: Values, reduce: Reduce, axes: dict[int, FullAxis]
) -> list[jax.Array]:
    """Compute the ordinary poolings of all axes, and interleave their outputs."""
    positions = tuple(axes)

    def build(chosen: tuple[Part, ...]) -> Values:
        if len(chosen) == len(positions):
            return _ordinary(values, init, reduce, dict(zip(positions, chosen, strict=True)))
        position = positions[len(chosen)]
        axis = axes[position]
        built = [build((*chosen, part)) for part in axis.parts()]
        return tuple(
            _full_window.interleave(list(parts), position, axis.output)
            for parts in zip(*built, strict=True)
        )

    return list(build(()))


def _ordinary(values: Values, init: Values, reduce: Reduce, parts: dict[int, Part]) -> Values:
    for position, part in parts.items():
        values = tuple(lax.slice_in_dim(x, part.begin, part.end, axis=position) for x in values)
    axes = [part.axis for part in parts.values() if part.axis]
    if len(axes) < len(parts):
        shape = list(values[0].shape)
        for position, part in parts.items():
            shape[position] = part.output
        return tuple(lax.broadcast(scalar, shape) for scalar in init)
    return reduce(values, Window(tuple(parts), tuple(axes)))
