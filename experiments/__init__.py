"""The lab: train networks that differ only in how they pool, and say what the data allow."""
