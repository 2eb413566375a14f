"""Where a model gets the contents of posts."""
