// The reward curves of one data source, or of all.

function drawCurves() {
  const { data, layout } = DATA.figures[FORM.elements.source.value] ?? DATA.figures[EVERY];
  Plotly.react("figure", data, layout, { responsive: true, displaylogo: false });
}
