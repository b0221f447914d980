"""What only a desk needs: other makers' recordings, many at once, reports.
No model needs it to run.
"""
