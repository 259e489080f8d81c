"""The shipped use cases, one folder each; found by ``trunkline.plugins``, never imported by name."""
