"""A bought model: its numbers as a chart, predictions on a file, and the model to take along."""

from __future__ import annotations

import base64
import csv
import io
from html import escape

import ipywidgets as widgets
import joblib

from deltaml_core.bought import BoughtModel
from deltaml_core.views import background
from deltaml_core.views.charts import CoefficientsChart
from deltaml_core.views.formats import number
from deltaml_core.views.table import Cell, Row, Table

_SHOWN = 20


class ModelView(widgets.VBox):
    """One model."""

    def __init__(self, model: BoughtModel, *, dark: bool = False) -> None:
        self._model = model
        self.chart = CoefficientsChart(model.features, model.coefficients.tolist(), model.target, dark=dark)
        said = widgets.HTML(
            f'<p>Intercept <strong data-figure="intercept">{number(model.intercept)}</strong>, {len(model.features)} coefficients. '
            f"{_links(model)}</p>"
        )
        self._upload = widgets.FileUpload(accept=".csv", description="Predict on a CSV file", layout={"width": "auto"})
        self._upload.add_class("t-predict")
        self._upload.observe(lambda _: self._uploaded(), names=["value"])
        self._said = widgets.HTML()
        self._predictions = Table("Predictions", (*model.features, model.predicts), css="t-predictions")
        self._predictions.layout.display = "none"
        super().__init__([widgets.HTML("<h3>The model</h3>"), said, self.chart, self._upload, self._said, self._predictions])
        self.add_class("t-model")

    def paint(self, *, dark: bool) -> None:
        """Take on the page's scheme."""
        self.chart.paint(dark=dark)

    def _uploaded(self) -> None:
        files = self._upload.value
        if files:
            name, content = str(files[0]["name"]), bytes(files[0]["content"])
            self._upload.value = ()
            background.do(lambda: self._model.predict_csv(content, name), lambda rows: self._predicted(name, rows), self._refused)

    def _predicted(self, name: str, rows: list[dict[str, str]]) -> None:
        headings = (*self._model.features, self._model.predicts)
        self._predictions.show(
            [Row(str(line), tuple(Cell(row[heading], numeric=True) for heading in headings)) for line, row in enumerate(rows[:_SHOWN])]
        )
        self._predictions.layout.display = None
        text = io.StringIO()
        writer = csv.DictWriter(text, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
        shown = f", the first {_SHOWN} are shown" if len(rows) > _SHOWN else ""
        link = _link(text.getvalue().encode(), "text/csv", "predictions.csv", "Download all with their predictions")
        self._said.value = f'<p role="status">{len(rows)} rows of {escape(name)}{shown}. {link}</p>'

    def _refused(self, why: str) -> None:
        self._said.value = f'<p class="d-bad" role="alert">{escape(why)}</p>'


def _links(model: BoughtModel) -> str:
    fitted, estimator = io.BytesIO(), model.to_sklearn()
    joblib.dump(estimator, fitted)
    name = f"request-{model.request}"
    as_json = _link(model.to_json().encode(), "application/json", f"{name}.json", "Download as JSON")
    as_joblib = _link(fitted.getvalue(), "application/octet-stream", f"{name}.joblib", f"as a fitted {type(estimator).__name__} (joblib)")
    return f"{as_json} or {as_joblib}."


def _link(content: bytes, kind: str, name: str, text: str) -> str:
    return f'<a download="{escape(name, quote=True)}" href="data:{kind};base64,{base64.b64encode(content).decode()}">{escape(text)}</a>'
