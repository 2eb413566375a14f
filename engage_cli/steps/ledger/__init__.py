"""After publication: predictions are logged, and compared with what came."""
