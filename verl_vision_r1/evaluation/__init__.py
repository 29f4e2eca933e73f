"""What a model's answers are worth on a data set, by protocols that say what they assume: `vision-r1 evaluate`."""
