// Draws a figure as it is now, with plotly.js, which the first figure of a page takes from the kernel for all of them. A slow machine may
// take as long as it needs: nothing here waits for anywidget's messages, which are dropped when a model is not ready within two seconds.

const named = (model, name) => model.widget_manager.get_model(model.get(name).replace("IPY_MODEL_", ""));

async function fetchPlotly(model) {
  const library = await named(model, "_library");
  const address = URL.createObjectURL(new Blob([library.get("code")], { type: "text/javascript" }));
  await import(address);
  URL.revokeObjectURL(address);
  return window.Plotly;
}

function plotly(model) {
  window.deltamlPlotly ??= fetchPlotly(model).catch((error) => {
    delete window.deltamlPlotly; // the next figure may have a kernel that answers
    throw error;
  });
  return window.deltamlPlotly;
}

// As plotly's Python half reads it. The time makes a second click on a point differ from the first.
function clicked({ points, event }) {
  const all = (pick) => points.map(pick);
  return {
    event_type: "plotly_click",
    time: event.timeStamp,
    points: {
      trace_indexes: all((point) => point.curveNumber),
      point_indexes: all((point) => point.pointNumber),
      xs: all((point) => point.x),
      ys: all((point) => point.y),
    },
  };
}

export default {
  async render({ model, el, signal }) {
    const [picture, Plotly] = await Promise.all([named(model, "_picture"), plotly(model)]);
    if (signal.aborted) return undefined;
    let frame = 0;
    const draw = async () => {
      frame = 0;
      const [data, layout] = structuredClone([picture.get("data"), picture.get("layout")]); // plotly.js writes into what it is given
      const first = !el.classList.contains("js-plotly-plot");
      await Plotly.react(el, data, { ...layout, uirevision: "the reader's" }, { ...model.get("_config") });
      if (!first) return;
      el.on("plotly_click", (what) => {
        model.set("_js2py_pointsCallback", clicked(what));
        model.save_changes();
      });
    };
    const redraw = () => {
      frame ||= requestAnimationFrame(draw);
    };
    picture.on("change", redraw);
    redraw();
    return () => {
      picture.off("change", redraw);
      cancelAnimationFrame(frame);
      Plotly.purge(el);
    };
  },
};
