"""The whole pipeline on a laptop: a tiny model, a small dataset, verl's own trainer on the CPU."""
