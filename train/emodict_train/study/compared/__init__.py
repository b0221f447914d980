"""What is compared: the data, the protocols that split them, and the methods."""
