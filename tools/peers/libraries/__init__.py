"""One file per peer, imported only when the peer is checked, since it imports the library."""

import os

# Set before Keras is imported; TensorFlow imports it too.
os.environ.setdefault("KERAS_BACKEND", "jax")
