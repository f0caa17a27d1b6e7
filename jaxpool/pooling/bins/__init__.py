"""Operators over bins: adaptive sizes, random boundaries, pyramids."""
