"""A run behind HTTP: requests are read and guarded here, and answered by a model process of their own."""
