"""CatBoost on a table of features."""
