"""What people answered after each trial: read, made a distribution, and put into a session."""
