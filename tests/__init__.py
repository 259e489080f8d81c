"""The tests; a package, because installed packages bring a ``tests`` of their own, which would be found instead."""
