"""Operators over evenly spaced windows of one shape, and `max_unpool`."""
