"""What use cases compute before a model sees it, as Ibis expressions that are the same on every engine.

``features.kpi`` is the library of key performance indicators of mobile networks.
"""
