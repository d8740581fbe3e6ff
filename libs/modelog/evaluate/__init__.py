"""Measures predictions: from labels and predictions to the Evaluation that the registry records.

    told = measure(Observations(labels=y, predictions=p, scores=s, sensitive={"sex": sex}), Choices(minimum_rows=20))
    client.registry.RecordEvaluation(RecordEvaluationRequest(name=version, evaluation_id="holdout", evaluation=told))

Everything is computed here, on the caller's machine. Of a sensitive column only counts and rates of its groups are in
the result, and none of groups smaller than `minimum_rows`. Needs numpy: `pip install modelog[evaluate]`. The same rows
give the same numbers: intervals are closed formulas, so nothing is drawn at random.
"""

from modelog.evaluate.columns import read_columns
from modelog.evaluate.measure import measure
from modelog.evaluate.observed import Choices, Observations

__all__ = ["Choices", "Observations", "measure", "read_columns"]
