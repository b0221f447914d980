"""emodict: from a recording to a distribution over mixed emotions, on a wrist or a desk."""

__version__ = "0.1.0"
