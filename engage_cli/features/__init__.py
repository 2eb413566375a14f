"""Features: the columns of the table that models read beside embeddings."""
