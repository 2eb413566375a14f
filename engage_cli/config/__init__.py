"""What can be set, with defaults and help. Nothing here imports anything heavy."""
