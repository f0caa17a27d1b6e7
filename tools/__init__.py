"""What makes the documents and checks other libraries; no part of the library or the lab."""
