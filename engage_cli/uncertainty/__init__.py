"""How sure a prediction is: intervals, neighbours, correlated errors."""
