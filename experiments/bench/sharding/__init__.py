"""Traffic of operators that XLA partitions among devices: `bench CONFIG --devices 8`."""
