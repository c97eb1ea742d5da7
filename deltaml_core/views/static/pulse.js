// Tells the kernel that somebody looks, and in which scheme. Behind Voila it tells the page whether the kernel answers (lifeline.js).

const BEAT_MS = 10_000;
const PATIENCE_MS = 8_000;
const ACTS = ["pointerdown", "keydown", "wheel"];

// A chart that is drawn before it has its place keeps a width that is not its place's: tell it whenever that width changes.
function fitCharts(root) {
  const widths = new WeakMap();
  const sizes = new ResizeObserver((entries) => {
    const changed = entries.filter((entry) => widths.get(entry.target) !== entry.contentRect.width);
    changed.forEach((entry) => widths.set(entry.target, entry.contentRect.width));
    if (changed.length) requestAnimationFrame(() => window.dispatchEvent(new Event("resize")));
  });
  const watch = () => root.querySelectorAll(".d-chart .js-plotly-plot").forEach((chart) => sizes.observe(chart.parentElement));
  const additions = new MutationObserver(watch);
  additions.observe(root, { childList: true, subtree: true });
  watch();
  return () => {
    sizes.disconnect();
    additions.disconnect();
  };
}

// Behind Voila the scheme is the system's; JupyterLab has a theme of its own.
function scheme(changed) {
  const theme = document.body.dataset;
  if (window.deltaml) {
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", changed);
    return { isDark: () => dark.matches, forget: () => dark.removeEventListener("change", changed) };
  }
  const themes = new MutationObserver(changed);
  themes.observe(document.body, { attributeFilter: ["data-jp-theme-light"] });
  return { isDark: () => theme.jpThemeLight === "false", forget: () => themes.disconnect() };
}

export default {
  render({ model }) {
    let number = model.get("answered");
    let waiting = null;
    let acted = Date.now();

    const beat = () => {
      number += 1;
      try {
        model.send({ beat: number, dark: looks.isDark(), idle: (Date.now() - acted) / 1000 });
      } catch {
        // a closed channel: the answer will be missing
      }
      waiting ??= setTimeout(() => window.deltaml?.silent(), PATIENCE_MS);
    };
    const heard = () => {
      clearTimeout(waiting);
      waiting = null;
      window.deltaml?.answered();
    };
    const visible = () => {
      if (!document.hidden) beat();
    };
    const act = () => {
      acted = Date.now();
    };

    const looks = scheme(beat);
    model.on("change:answered", heard);
    document.addEventListener("visibilitychange", visible);
    ACTS.forEach((kind) => document.addEventListener(kind, act, true));
    const unfit = fitCharts(document.body);
    const timer = setInterval(beat, BEAT_MS);
    beat();
    return () => {
      unfit();
      clearInterval(timer);
      clearTimeout(waiting);
      looks.forget();
      document.removeEventListener("visibilitychange", visible);
      ACTS.forEach((kind) => document.removeEventListener(kind, act, true));
      model.off("change:answered", heard);
    };
  },
};
