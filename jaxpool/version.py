"""The version of the package; hatchling reads it for the wheel."""

__version__ = "0.2.0"
