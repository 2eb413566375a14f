"""Posts: their table, where they come from, how they are split, what is predicted of them."""
