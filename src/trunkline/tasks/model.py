"""A model at rest and at work.

Takes rows as a typed Arrow table or one by one, gives scores, decisions and reasons. On disk a model is a folder:
``model.json`` (everything declared and fitted that is data, with the sha256 of the other files), ``model.onnx`` (the
whole way from the base matrix to the answer) and the boosters' own text for reasons. Loading needs numpy, ONNX Runtime
and json; a folder that is not what was written is refused. There is no pickle.
"""

import hashlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from trunkline.contracts.expressions import RowValue
from trunkline.errors import TamperedError, TrunklineError
from trunkline.tasks.base_matrix import BaseMatrix, Floats, Matrix
from trunkline.tasks.files import MODEL_FILE, write_folder
from trunkline.tasks.graph import INPUT
from trunkline.tasks.info import ModelInfo
from trunkline.tasks.members import Boosted, Grown, Linear, mean_margin
from trunkline.tasks.views import View

if TYPE_CHECKING:
    import onnxruntime
    import pyarrow as pa

__all__ = ["MODEL_FILE", "ONNX_FILE", "Model", "Part"]

ONNX_FILE: Final = "model.onnx"
"""The graph from the base matrix to the answer."""
_FORMAT: Final = 1
_CHUNK_ROWS: Final = 50_000
_MANY_ROWS: Final = 200_000
"""From so many rows on, loading XGBoost and its trees takes less time than it saves."""


@dataclass(frozen=True)
class Part:
    """A learner as far as reasons, and the scoring of large tables, need it.

    Attributes:
        name: The learner's name.
        weight: Its share of the blended margin.
        view: Its fitted preparation.
        members: Its fits; empty where the algorithm has no exact contributions.
    """

    name: str
    weight: float
    view: View
    members: tuple[Linear | Boosted | Grown, ...]

    def margin(self, base: Matrix) -> Floats:
        """Give the margin of rows by the library that fitted them, shape (rows,); there must be members."""
        return mean_margin(self.members, self.view.apply(base))


@dataclass(frozen=True)
class Model:
    """What a task learned.

    Attributes:
        info: What it says of itself.
        base: How rows become numbers.
        onnx: The model's graph.
        parts: Its learners, for reasons.
        typical: One synthetic row of the base matrix (medians, most frequent codes), shape (columns,): what reasons of
            learners without exact contributions are measured from.
    """

    info: ModelInfo
    base: BaseMatrix
    onnx: bytes
    parts: tuple[Part, ...]
    typical: Matrix

    def predict(self, table: "pa.Table", *, threads: int = 1, of: int | None = None) -> "pa.Table":
        """Score rows: few by the graph, very many by the booster's own library where that is faster.

        The two differ by less than 1e-5, which the gate ``onnx_equality`` holds (decision 0007).

        Args:
            table: Rows with at least ``info.columns``.
            threads: Blocks of rows that are scored at a time; has no effect on the answers.
            of: Rows in all, where the table is one block of them; None where it is all of them.

        Returns:
            One row each, in order: ``score`` (float64, calibrated probability of True) and ``decision`` (bool) for a
            classification; ``prediction`` (float64, target units) for a regression.

        Raises:
            SchemaError: A column is missing or of another type.
        """
        import pyarrow as pa

        starts = range(0, max(table.num_rows, 1), _CHUNK_ROWS)
        many = max(table.num_rows, of or 0) >= _MANY_ROWS and self._is_quick_in_batches
        answer = self.library_scores if many else self.scores

        def score(start: int) -> Floats:
            return answer(self.base.from_table(table.slice(start, _CHUNK_ROWS)))

        if threads == 1 or len(starts) == 1:
            parts = [score(start) for start in starts]
        else:  # a block is the same whoever scores it, so the number of threads has no effect on the answers
            with ThreadPoolExecutor(max_workers=threads) as pool:
                parts = list(pool.map(score, starts))
        scores = np.concatenate(parts)
        if self.info.threshold is None:
            return pa.table({"prediction": pa.array(scores, pa.float64())})
        return pa.table(
            {
                "score": pa.array(scores, pa.float64()),
                "decision": pa.array(scores >= self.info.threshold, pa.bool_()),
            }
        )

    def predict_row(self, row: Mapping[str, RowValue]) -> float:
        """Score one row: probability of True, or the prediction in target units.

        Args:
            row: Values by column name, typed as in the table; absent or None = null.

        Returns:
            The same answer as ``predict`` gives (to 1e-6; ONNX Runtime may add up trees in another order).
        """
        return float(self._session.run(None, {INPUT: self._encode(row)})[0][0])

    def scores(self, base: Matrix) -> Floats:
        """Score an encoded matrix.

        Args:
            base: Shape (rows, base columns), as ``base.from_table`` gives it.

        Returns:
            Shape (rows,), float64.
        """
        parts = [
            self._session.run(None, {INPUT: base[start : start + _CHUNK_ROWS]})[0]
            for start in range(0, len(base), _CHUNK_ROWS)
        ]
        return np.concatenate(parts).astype(np.float64) if parts else np.zeros(0)

    def library_scores(self, base: Matrix) -> Floats:
        """Score an encoded matrix by the libraries that fitted the learners, as training judged them.

        Args:
            base: Shape (rows, base columns), as ``base.from_table`` gives it; every learner must have kept its members.

        Returns:
            Shape (rows,), float64: those of ``scores`` to 1e-5.
        """
        from trunkline.tasks.answering import blended_margin, calibrated_scores, in_units

        margin = blended_margin([(part, part.weight) for part in self.parts], base)
        if self.info.task == "regression":
            return in_units(margin, log_target=self.info.log_target)
        return calibrated_scores(margin, self.info.calibration)

    @cached_property
    def _is_quick_in_batches(self) -> bool:
        """Whether the libraries beat the graph: XGBoost needs a third of its time for many rows, LightGBM twice."""
        members = [member for part in self.parts for member in part.members if not isinstance(member, Linear)]
        trees = [member.mean if isinstance(member, Grown) else member for member in members]
        return bool(trees) and all(part.members for part in self.parts) and all(t.library == "xgboost" for t in trees)

    def explain(self, table: "pa.Table", *, top: int = 5) -> "pa.Table":
        """Say which features moved each score, and how far.

        Args:
            table: Rows with at least ``info.columns``.
            top: Features to name per row, the largest moves first; the others are added up.

        Returns:
            One row each: ``base_value`` (float64), ``reasons`` (list of struct ``feature``, ``contribution``) and
            ``others`` (float64). They sum to the calibrated log-odds of the score, or to the prediction; on a
            logarithmic target to ``log(1 + prediction)``.

        Raises:
            SchemaError: A column is missing or of another type.
            MissingExtraError: A learner has no exact contributions and the extra ``explain`` is not installed.
        """
        from trunkline.tasks.explanation import reasons_table

        return reasons_table(self, self.base.from_table(table), top=top)

    def explain_row(self, row: Mapping[str, RowValue], *, top: int = 5) -> list[tuple[str, float]]:
        """Name the features that moved one score most, as (feature, contribution).

        Raises:
            MissingExtraError: As ``explain``.
        """
        from trunkline.tasks.explanation import contributions, strongest

        moved, _ = contributions(self, self._encode(row))
        return strongest(self.base.names, moved[0], top=top)

    def contributions(self, table: "pa.Table") -> tuple[Floats, Floats]:
        """Give all contributions.

        Returns:
            Shape (rows, columns of ``base.names``), and the base values, shape (rows,).

        Raises:
            SchemaError: As ``explain``.
            MissingExtraError: As ``explain``.
        """
        from trunkline.tasks.explanation import contributions

        return contributions(self, self.base.from_table(table))

    def with_lineage(self, **facts: object) -> "Model":
        """Give the same model with more facts in ``info.lineage``; they must be JSON."""
        lineage = {**self.info.lineage, **facts}
        return replace(self, info=self.info.model_copy(update={"lineage": lineage}))

    @property
    def fingerprint(self) -> str:
        """Sha256 of ``model.json``, which holds those of all other files; hex."""
        return hashlib.sha256(self._files()[MODEL_FILE]).hexdigest()

    def save(self, folder: Path) -> str:
        """Write the model's folder, whole or not at all.

        Args:
            folder: Must not exist, or be a model folder, which is replaced.

        Returns:
            The fingerprint.
        """
        files = self._files()
        write_folder(folder, files)
        return hashlib.sha256(files[MODEL_FILE]).hexdigest()

    @classmethod
    def load(cls, folder: Path, *, fingerprint: str | None = None) -> "Model":
        """Read a model's folder.

        Args:
            folder: What ``save`` wrote.
            fingerprint: What ``save`` returned, where the caller kept it; anything else is refused.

        Returns:
            The model.

        Raises:
            TamperedError: A file is missing, or is not what was written.
        """
        from trunkline.tasks.model_files import read_model

        try:
            return read_model(folder, fingerprint=fingerprint, model_format=_FORMAT)
        except TrunklineError:
            raise
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise TamperedError(
                f"the model cannot be read: {type(error).__name__}",
                where=str(folder),
                next_step="restore the folder, or promote another version",
            ) from error

    def _files(self) -> dict[str, bytes]:
        from trunkline.tasks.model_files import model_files

        return model_files(self, model_format=_FORMAT)

    @cached_property
    def _session(self) -> "onnxruntime.InferenceSession":
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        return onnxruntime.InferenceSession(self.onnx, options, providers=["CPUExecutionProvider"])

    @cached_property
    def _encode(self) -> Callable[[Mapping[str, RowValue]], Matrix]:
        return self.base.row_encoder()

    def warm_up(self) -> None:
        """Build the session and the encoder now rather than at the first row."""
        self.predict_row({})
