"""The rewards of the published code, number for number, accidents included, for those who compare or reproduce.

Each module is one release and stands alone: what is an accident there must not reach the presets that one trains with.
None of it raises on what a model wrote, where the published code may.
"""
