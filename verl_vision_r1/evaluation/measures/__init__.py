"""Metrics from arrays of ground truth and predictions: AP, F1, accuracy, calibration, confusion matrix."""
