"""Airflow DAGs from the same plans that ``trunkline run`` executes: one file, data and no logic of Trunkline.

Read downwards: ``pipelines`` sorts the steps of a plan into five, ``content`` adds what the settings say, ``rendering``
writes the file.
"""

from trunkline.dags.content import leaves_out
from trunkline.dags.pipelines import PIPELINES, Pipeline, PipelineKind, PipelineTask, pipelines_of
from trunkline.dags.rendering import render, write

__all__ = ["PIPELINES", "Pipeline", "PipelineKind", "PipelineTask", "leaves_out", "pipelines_of", "render", "write"]
