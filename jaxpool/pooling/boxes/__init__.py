"""Region-of-interest (RoI) pooling over boxes of a feature map."""
