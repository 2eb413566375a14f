"""What an evaluation computes: results, baselines, slices, reliability."""
