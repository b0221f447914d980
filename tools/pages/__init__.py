"""`make pages`: what the pages show of the demo's models, all of it from one run."""
