// Draws the charts of a page, and makes the page fit for paper. Colours are the business of report.css.
(() => {
  "use strict";
  const PAPER_WIDTH = 660; // pixels between the margins of A4 and of Letter
  const config = { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["select2d", "lasso2d"] };
  const plots = [...document.querySelectorAll("figure.chart > .plot")];

  for (const plot of plots) {
    if (!window.Plotly) {
      plot.textContent = "The chart needs plotly.min.js, which belongs beside this page.";
      continue;
    }
    const spec = JSON.parse(plot.parentElement.querySelector("script").textContent);
    const narrow = plot.clientWidth < 520;
    if (narrow) { // a phone: fingers scroll the page, and a legend needs the whole width
      spec.layout.dragmode = false;
      for (const name of Object.keys(spec.layout)) {
        if (/^[xy]axis/.test(name)) spec.layout[name].fixedrange = true;
        if (/^xaxis/.test(name)) spec.layout[name].nticks = Math.min(spec.layout[name].nticks || 5, 5);
      }
    }
    Plotly.newPlot(plot, spec.data, spec.layout, narrow ? { ...config, displayModeBar: false } : config);
  }

  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    for (const one of opened) one.open = true;
    for (const plot of plots) if (window.Plotly) Plotly.relayout(plot, { width: PAPER_WIDTH });
  });
  addEventListener("afterprint", () => {
    for (const one of opened) one.open = false;
    for (const plot of plots) if (window.Plotly) Plotly.relayout(plot, { width: null, autosize: true });
  });
})();
