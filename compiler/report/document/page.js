// Draws the charts of the page: each is as wide as its place, and is drawn again where that changes.
(() => {
  const { specs, config } = JSON.parse(document.getElementById("charts").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const draw = (place) => {
    const width = place.clientWidth;
    if (!width || place.dataset.width === String(width)) return Promise.resolve();
    place.dataset.width = width;
    const narrow = width < 560;
    const own = structuredClone(config);
    own.axisY = { labelLimit: narrow ? Math.round(width * 0.42) : 360 };
    own.axis.labelFontSize = own.axis.titleFontSize = narrow ? 11 : 12;
    own.axisX = { ...own.axisX, tickCount: narrow ? 4 : 8 };
    if (narrow) own.legend.columns = 2;
    const spec = { ...specs[place.dataset.chart], width, autosize: { type: "fit-x", contains: "padding" } };
    return vegaEmbed(place, spec, { config: own, renderer: "svg", actions: false, tooltip: { theme: dark.matches ? "dark" : "light" } })
      .catch((error) => { place.textContent = "This chart could not be drawn; its table has the figures."; console.error(error); });
  };
  const places = [...document.querySelectorAll(".chart")];
  const all = () => Promise.all(places.map(draw));
  let waiting;
  addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(all, 150); });
  addEventListener("beforeprint", () => { for (const part of document.querySelectorAll("details[data-print]")) part.open = true; });
  all().then(() => { document.documentElement.dataset.drawn = "yes"; });
})();
