"""The study: every method compared on the same held-out rows, under the honest protocol first."""
