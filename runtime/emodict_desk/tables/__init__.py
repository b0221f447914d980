"""Features as tables in files: what training eats, and what other programs wrote."""
