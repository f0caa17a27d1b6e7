"""Lowering to XLA operations, one file per reduction or technique.

Reductions: `extreme`, `sums`, `masked` (sums over winners), `kernel_sums` (weighted sums),
`filters` (sums weighted by a learned filter), `native` (XLA's windowed operations). Reads: `taps`,
`row_gather`, `tiles`. For XLA:CPU: `isolate`, `half_order`, `precision`.
"""
