"""What JAX sees: primitives with their derivatives, transposes, batching and sharding.

`primitives` defines them. `winner`: maxima and minima. `linear`: sums and their transposes.
`weighted`: weighted sums. `invertible_gather`: gathers whose inverse is known. `elements` and
`folds` need no primitive of their own.
"""
