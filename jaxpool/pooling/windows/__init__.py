"""Operators over windows of one shape at regular steps, and `max_unpool`, the inverse of one."""
