"""Tests of variants: how many impressions decide, which variants are worth them, and who is ahead by what was counted."""
