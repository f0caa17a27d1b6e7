"""`reduce_window`, with any function of two elements."""
