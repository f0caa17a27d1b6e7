"""JAX primitives with their derivatives, transposes, batching and sharding rules.

`primitives` defines them. `winner`: maxima and minima. `linear`: sums and their transposes.
`weighted`: sums whose weights depend on the elements. `filters`: sums weighted by a learned filter.
`invertible_gather`: gathers whose inverse is known, so that their transpose is a gather too.
`elements` and `folds` define no primitive.
"""
