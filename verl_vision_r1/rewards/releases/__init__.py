"""Exact re-implementations of released rewards, bugs included, for comparison and reproduction.

Each module is one release and is not used by other presets. Unlike some of the published code, none of it raises on a
malformed completion.
"""
