"""What is checked before a GPU is rented: configuration, installation, memory and time."""
