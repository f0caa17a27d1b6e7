"""The lab: trains networks that differ only in their pooling and compares them statistically."""
