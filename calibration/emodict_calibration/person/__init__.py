"""A person's baseline at rest, and the matrix that frees their EEG of artefacts."""
