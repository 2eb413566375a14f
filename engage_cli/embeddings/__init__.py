"""Embeddings: the vectors of images and texts, stored by content or made when they are asked for."""
