// The reward curves of one data source, or of all.

function drawCurves() {
  const chosen = FORM.elements.source.value;
  const { data, layout } = chosen === EVERY ? DATA.figures.overall : DATA.figures.by_source[JSON.parse(chosen)] ?? DATA.figures.overall;
  Plotly.react("figure", data, layout, { responsive: true, displaylogo: false });
}
