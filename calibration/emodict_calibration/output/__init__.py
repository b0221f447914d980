"""The temperature of the output, and how reliable the output is before and after."""
