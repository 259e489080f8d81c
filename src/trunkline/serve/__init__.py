"""The prediction server: HTTP in, scores out, everything logged. Never imports MLflow or a training library."""

from trunkline.serve.access import Holder
from trunkline.serve.app import DEVICES, create_app
from trunkline.serve.browsers import page_access
from trunkline.serve.listening import listen
from trunkline.serve.metrics_sources import SourceMetrics, SourceSample
from trunkline.serve.metrics_tables import TableMetrics

__all__ = ["DEVICES", "Holder", "SourceMetrics", "SourceSample", "TableMetrics", "create_app", "listen", "page_access"]
