"""How a study runs: cell by cell, in several processes, and on again after it was stopped."""
