"""Global pooling."""
