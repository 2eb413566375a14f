"""Neural models: on stored embeddings, or with the encoders in the loop."""
