"""Numbers of posts, as models read them."""
