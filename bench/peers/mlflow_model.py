"""The whole model for MLflow, wrapped as its documentation advises for one with preparation of its own.

A ``PythonModel`` from code. It takes the row by name, as Trunkline does, computes the features and asks the same ONNX
graph by the same single-row path, but checks and logs nothing itself.
"""

from pathlib import Path

import mlflow.pyfunc
import pandas as pd

from trunkline.tasks import Model


class Wrapped(mlflow.pyfunc.PythonModel):  # type: ignore[misc, name-defined]  # MLflow hides it
    """Scores rows of a data frame."""

    def load_context(self, context: mlflow.pyfunc.PythonModelContext) -> None:  # type: ignore[name-defined]  # as above
        """Load the model's folder."""
        self.model = Model.load(Path(context.artifacts["model"]))
        self.model.warm_up()

    def predict(
        self,
        context: mlflow.pyfunc.PythonModelContext,  # type: ignore[name-defined]  # noqa: ARG002 - MLflow's form
        model_input: pd.DataFrame,
        params: dict[str, object] | None = None,  # noqa: ARG002 - as above
    ) -> list[float]:
        """Give one score per row."""
        rows = model_input.to_dict(orient="records")
        return [self.model.predict_row({str(name): value for name, value in row.items()}) for row in rows]


mlflow.models.set_model(Wrapped())
