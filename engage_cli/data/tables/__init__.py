"""Raw tables: opened, decoded, their columns found and typed."""
