"""Operators over boxes of a feature map, as detectors use them."""
