"""From the files of an evaluation to arrays: predictions, ground truth, and the protocol that reads both."""
