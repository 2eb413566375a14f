"""The training loop of neural models and its parts."""
