"""Every tuned constant of the engine: what it decides, a case, and its figure `before -> after`.

Figures are CPU time per call on two cores of an AMD EPYC with jaxlib 0.10.2, forward only, unless a
line says otherwise; "gradient" includes the forward pass. docs/xla-cpu.md has the tables. A
constant without a figure bounds the size of a program, so its time to compile, or a cost model.
"""

# Maxima: cost of a pass over memory, in taps. k1025 s1 on 8x65536x8, gradient: 245 -> 191 ms.
PASS_COST = 2
# Maxima, sums, weighted sums: most taps in one loop. k5 s1 on 16x20x20x512: one loop 15 -> an axis
# at a time 6 ms.
ONE_LOOP = 9
# The same for windows that tile. k5 s5 on 16x110x110x64: two passes 1.8 -> one loop 1.2 ms.
# Soft pooling k3 s3 of 16x54x54x64, wall: a reduction of the tile 10.3 -> one loop 2.1 ms.
ONE_LOOP_TILING = 25
# The same in float16 and bfloat16. k4 s4 on 32x32x32x64: one loop 0.6 -> two passes 0.2 ms.
ONE_LOOP_TILING_HALF = 14
# Maxima, associative folds: most taps per step of a chain, written out in one loop.
STEP_TAPS = 8

# Sums: cost of a pass over memory, in taps. Mean k51 s1 of 4x96x96x32, wall: as for maxima 2.9 ->
# 2.5 ms.
SUM_PASS_COST = 4
# Sums: most partial sums per step of a chain; longer loops compile slowly. Mean k11 s1 of
# 4x96x96x32, against 8: temporaries 2.0 -> 1.0 inputs (at 1.3 times the time).
SUM_STEP_TAPS = 12
# Weighted sums, associative folds: most terms written out; of more, weighted sums are a loop of the
# program, and folds double.
WRITTEN_OUT = 64

# Searches: most taps written out. Median k15 s1 on 1x512x512x1, jax 0.12: 1.23 -> 0.08 s.
UNROLLED_TAPS = 25
# Searches: taps per turn of the loop of the program. Median k7 s1 of 1x128x128x8, wall: 1 tap 56 ->
# 8 taps 13 ms.
LOOP_UNROLL = 8

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

# TPU: longest axis that is read at computed positions by comparing every position with every index.
# Unpooling of 16x28x28x64 to 56x56, v5e, estimated: gathers and scatters 18.5 -> 0.3 ms. (That is
# the memory traffic. 2.5 billion comparisons take about 1.5 ms more; a gather 2.9 ns per element.)
COMPARED = 4_096

# Tiles: fewest taps of one `lax.reduce` of a kind that XLA:CPU does not vectorise. Max k4 s4 on
# 32x32x32x64, NaN kept: reduction 3.9 -> slices 0.12 ms.
TILE_REDUCTION = 65
# Tiles: fewest taps for which the cotangent is materialized before they read it. sin(tanh(max k4
# s4)) of 16x56x56x64, gradient, wall: 20.6 -> 8.6 ms.
TILE_MATERIALIZE = 5
# Value and winner in one loop: fewest taps. k4 s4 on 16x112x112x64, wall time: 5.3 -> 4.3 ms.
JOINT_SEARCH_TAPS = 8
# The same: fewest elements. k4 s4 on 2x112x112x64, which has fewer, wall time: 0.43 -> 0.51 ms.
JOINT_SEARCH_ELEMENTS = 2**22

# XLA:CPU: fewest elements of an isolated step. k9 s1 on 1x20x20x16, gradient: 1.3 -> 0.3 ms.
ISOLATED_ELEMENTS = 2_048
# XLA:CPU: longest row merged with its neighbours, where no padding is read. Max k3 s1 of 16x64x64,
# gradient, wall: 28 channels 17.6 -> merged 12.0 ms; but 32 channels, merged 4.5 -> apart 3.2.
MERGED_ROW = 31
# The same with padding. k3 s1 on 8x256x256x8, gradient: 73 -> 18 ms.
MERGED_ROW_PADDED = 15
# XLA:CPU: fewest bytes of an input that is padded per read: a copy would cost page faults. Max k3
# s1 SAME of 8x64x64x8, which has fewer, wall: padded per read 0.44 -> copied 0.26 ms.
PADDED_COPY_BYTES = 2**25
# XLA:CPU: longest merged axis. k1025 on 8x65536x8, gradient, to compile: 8.5 -> 2.1 s.
MERGED_AXIS = 16_384
# XLA:CPU: most row numbers in one constant, 4 MB; off CPU most numbers of taps in one constant.
ROW_NUMBERS = 2**20
# XLA:CPU: lengths of loops that LLVM unrolls whole. k2 s2 on 128x28x28x32, backward: 10 -> 1.4 ms.
UNROLLED_ROW = range(17, 33)
