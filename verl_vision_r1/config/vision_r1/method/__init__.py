"""What recipes are made from: the published settings of each method."""
