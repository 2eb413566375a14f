"""Models: what is trained on posts, and what a run folder becomes when it is opened."""
