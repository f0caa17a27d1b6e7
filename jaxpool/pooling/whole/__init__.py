"""Operators over whole maps."""
