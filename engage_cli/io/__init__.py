"""Files: written whole or not at all, read by a schema, checked against a hash, and held by a lock."""
