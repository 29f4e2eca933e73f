"""Additions to verl's trainer through its extension points: metrics, advantages, frozen weights, rollout files."""
