"""Rewards: from a completion to a score and its components. Imports only numpy, scipy and PyYAML."""
