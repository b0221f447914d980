"""Sensors instead of a file: the same features and the same engine, one row a second."""
