"""A model as plain C99, for a device without an operating system."""

from emodict_export.c.export import CReport, export_c

__all__ = ["CReport", "export_c"]
