"""What the results say: scores, intervals, ranks and tests."""
