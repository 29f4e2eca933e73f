"""Evaluation of predictions by documented protocols: the code behind `vision-r1 evaluate`."""
