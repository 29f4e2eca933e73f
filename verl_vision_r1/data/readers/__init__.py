"""One module for each data set: from its published files to samples. `sources` lists them by name."""
