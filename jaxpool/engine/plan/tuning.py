"""Every tuned constant of the engine: what it decides, a case, and its figure `before -> after`.

Figures are CPU time per call on two cores of an AMD EPYC with jaxlib 0.10.2, forward only, unless a
line says otherwise; "gradient" includes the forward pass. docs/xla-cpu.md has the tables. A
constant without a figure bounds the size of a program, so its time to compile, or a cost model.
"""

# Maxima: cost of a pass over memory, in taps. k1025 s1 on 8x65536x8, gradient: 245 -> 191 ms.
PASS_COST = 2
# Maxima, sums: most taps in one loop. k5 s1 on 16x20x20x512: one loop 15 -> an axis at a time 6 ms.
ONE_LOOP = 9
# The same for windows that tile. k5 s5 on 16x110x110x64: two passes 1.8 -> one loop 1.2 ms.
ONE_LOOP_TILING = 25
# The same in float16 and bfloat16. k4 s4 on 32x32x32x64: one loop 0.6 -> two passes 0.2 ms.
ONE_LOOP_TILING_HALF = 14
# Maxima: most taps per step of a chain, written out in one loop.
STEP_TAPS = 8

# Sums: cost of a pass over memory, in taps.
SUM_PASS_COST = 4
# Sums: most partial sums per step of a chain; longer loops compile slowly.
SUM_STEP_TAPS = 12
# Weighted sums: most taps in one loop, each of which costs an exponential.
WEIGHTED_ONE_LOOP = 9
# Weighted sums: most terms written out; more are a loop of the program.
WEIGHTED_TERMS = 64

# Searches: most taps written out. Median k15 s1 on 1x512x512x1, jax 0.12: 1.23 -> 0.08 s.
UNROLLED_TAPS = 25
# Searches: taps per turn of the loop of the program.
LOOP_UNROLL = 8
# Associative folds: most taps in one chain of slices, where doubling is shorter.
FOLD_CHAIN = 8
# Associative folds: most taps in one chain of slices at all.
FOLD_CHAIN_MOST = 64

# Native operations: most taps of one operation; larger windows take one per axis. Max k13 s1 of
# 16x13x13x512, gradient, TPU v5e, to compile: one `select_and_scatter` 94 -> one per axis 2 s.
NATIVE_TAPS = 64
# Native operations: widest axis of one `reduce_window` over one or two axes, whatever its taps. Max
# k15 s1 of 4x256x256x16, TPU v5e, estimated: one per axis 91 -> one 45 us; k16: 182 -> 773 us.
NATIVE_WIDTH = 15
# Native operations: most uneven bins per axis, each one slice and one reduction; and in all of
# those that are reduced over all axes at once. Adaptive mean of 32x45x45x128 to 7x7, bfloat16, TPU
# v5e, estimated: one axis after the other 59 -> all axes at once 34 us.
NATIVE_BINS = 64

# Tiles: fewest taps of one `lax.reduce` of a kind that XLA:CPU vectorises (sums).
TILE_REDUCTION = 9
# The same for other kinds. Max k4 s4 on 32x32x32x64, NaN kept: reduction 3.9 -> slices 0.12 ms.
TILE_REDUCTION_ANY = 65
# Tiles: fewest taps for which the cotangent is materialized before they read it.
TILE_MATERIALIZE = 5
# Value and winner in one loop: fewest taps. k4 s4 on 16x112x112x64, wall time: 5.3 -> 4.3 ms.
JOINT_SEARCH_TAPS = 8
# The same: fewest elements. k4 s4 on 2x112x112x64, which has fewer, wall time: 0.43 -> 0.51 ms.
JOINT_SEARCH_ELEMENTS = 2**22

# XLA:CPU: fewest elements of an isolated step. k9 s1 on 1x20x20x16, gradient: 1.3 -> 0.3 ms.
ISOLATED_ELEMENTS = 2_048
# The same for single sums, which repeat only what precedes them.
ISOLATED_SUM_ELEMENTS = 16_384
# XLA:CPU: longest row merged with its neighbours, where no padding is read.
MERGED_ROW = 32
# The same with padding. k3 s1 on 8x256x256x8, gradient: 73 -> 18 ms.
MERGED_ROW_PADDED = 15
# XLA:CPU: longest merged axis. k1025 on 8x65536x8, gradient, to compile: 8.5 -> 2.1 s.
MERGED_AXIS = 16_384
# XLA:CPU: fewest bytes of an input that is padded per read: a copy would cost page faults.
PADDED_COPY_BYTES = 2**25
# XLA:CPU: most row numbers in one constant, 4 MB.
ROW_NUMBERS = 2**20
# XLA:CPU: lengths of loops that LLVM unrolls whole. k2 s2 on 128x28x28x32, backward: 10 -> 1.4 ms.
UNROLLED_ROW = range(17, 33)
