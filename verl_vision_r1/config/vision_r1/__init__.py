"""What the recipes are made of."""
