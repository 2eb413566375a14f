"""The ledger: what was predicted, kept until it is known how the post did."""
