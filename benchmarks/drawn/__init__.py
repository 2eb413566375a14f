"""Posts that are drawn by a known law, for benchmarks."""
