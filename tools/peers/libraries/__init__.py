"""One peer a file; imported only when it is its turn, for it imports its library."""

import os

# Before anything imports Keras, which TensorFlow does too.
os.environ.setdefault("KERAS_BACKEND", "jax")
