"""`reduce_window` with an arbitrary associative function."""
