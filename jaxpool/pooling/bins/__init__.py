"""Adaptive, fractional and spatial pyramid pooling."""
