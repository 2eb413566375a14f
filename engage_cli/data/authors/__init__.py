"""What earlier posts of an author tell, strictly by date."""
