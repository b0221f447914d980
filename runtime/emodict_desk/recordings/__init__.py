"""What is in a recording: what is wrong with it, and what was left out of it."""
