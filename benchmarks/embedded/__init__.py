"""What the C file of a model costs: on a microcontroller, and against Python on this machine."""

from benchmarks.embedded.measure import measure

__all__ = ["measure"]
