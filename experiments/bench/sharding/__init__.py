"""What XLA exchanges where it divides an operator among devices: `bench CONFIG --devices 8`."""
