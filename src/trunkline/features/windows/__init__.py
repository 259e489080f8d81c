"""Windows over event time, as pure Ibis expressions that are the same on DuckDB and on Spark.

Takes rows with an instant, gives each of them once for every window it is in, with the window's begin and end; beside
it what windows are usually asked for: energy of movement, gaps between samples, ways between places, and what was
known of a thing at an instant. Nothing here knows of batches or of time that passes.
"""

from trunkline.features.windows.measuring import gap_s, great_circle_m, squared_norm
from trunkline.features.windows.placing import END, START, in_windows
from trunkline.features.windows.telling import as_of

__all__ = ["END", "START", "as_of", "gap_s", "great_circle_m", "in_windows", "squared_norm"]
