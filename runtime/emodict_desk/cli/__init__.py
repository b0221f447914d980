"""The subcommands of emodict-session."""

# One BLAS thread, which must be set before numpy is there.
import emodict.cli  # noqa: F401
