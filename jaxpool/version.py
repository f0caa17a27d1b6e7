"""The version, in one place: hatchling reads it for the wheel."""

__version__ = "0.2.0"
