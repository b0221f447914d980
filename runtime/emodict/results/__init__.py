"""What comes out of a model: predictions, their measures, and the files that hold them."""
