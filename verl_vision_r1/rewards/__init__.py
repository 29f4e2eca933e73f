"""From a completion to a number and its parts. Imports numpy, scipy and PyYAML only."""
