"""The demo: a tiny model, a small dataset and verl's trainer on the CPU; and its ablations."""
