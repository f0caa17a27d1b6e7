"""Generators of the documents, and checks of other libraries; not part of the library or lab."""
