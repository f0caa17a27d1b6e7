"use strict";
// Charts and tables of the page. Vega-Embed is `vegaEmbed`; DataTables comes as the text of a module.
(async () => {
  const root = document.documentElement;
  const darkness = matchMedia("(prefers-color-scheme: dark)");
  const charts = JSON.parse(document.getElementById("charts").textContent);
  const hidden = new Set(); // variants that the reader has switched off
  const drawn = new Map(); // the result of vegaEmbed, by figure
  const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

  const ink = (name) => getComputedStyle(root).getPropertyValue(name).trim();

  function theme() {
    const axis = {
      labelColor: ink("--ink"), titleColor: ink("--ink"), gridColor: ink("--grid"),
      domainColor: ink("--soft"), tickColor: ink("--soft"), labelFontSize: 12, titleFontSize: 12,
      titleFontWeight: 400, labelOverlap: true,
    };
    const legend = { labelColor: ink("--ink"), labelFontSize: 12, labelLimit: 400 };
    return { background: null, font: "system-ui, sans-serif", view: { stroke: null }, axis, legend };
  }

  async function draw(figure) {
    const options = charts[figure.dataset.chart];
    const option = options[figure.querySelector("select")?.value ?? 0];
    const text = JSON.stringify(option.spec).replaceAll('"#000000"', JSON.stringify(ink("--ink")));
    const spec = JSON.parse(text);
    const scales = figure.querySelector("fieldset");
    if (scales) {
      scales.hidden = !option.axis;
      const changed = scales.dataset.option !== option.label;
      scales.dataset.option = option.label;
      if (changed && option.axis) scales.querySelector(`[value=${option.scale}]`).checked = true;
      if (option.axis) {
        const type = scales.querySelector(":checked").value;
        for (const layer of spec.layer) {
          const { scale } = layer.encoding[option.axis];
          scale.type = type;
          if (type === "log") Object.assign(scale, { nice: false, zero: undefined });
        }
      }
    }
    spec.params = [{ name: "hidden", value: [...hidden] }];
    drawn.get(figure)?.finalize();
    drawn.set(figure, await vegaEmbed(figure.querySelector(".chart"), spec, {
      actions: { export: true, source: false, compiled: false, editor: false },
      ast: true, config: theme(), renderer: "svg", downloadFileName: figure.dataset.chart,
      tooltip: { theme: root.classList.contains("dark") ? "dark" : "light" },
    }));
  }

  async function drawAll() {
    root.classList.toggle("dark", darkness.matches);
    for (const figure of document.querySelectorAll("figure[data-chart]")) await draw(figure);
  }

  // Moves from point to point with the arrow keys: Vega receives the events of a pointer at the
  // point, so it shows the same text as on hover, which the <output> then announces.
  function followKeys(figure) {
    const chart = figure.querySelector(".chart");
    const announced = figure.querySelector("output");
    let current = null;

    function send(point, kind) {
      const { e: clientX, f: clientY } = point.getScreenCTM();
      point.dispatchEvent(new PointerEvent(kind, { clientX, clientY, bubbles: true }));
    }

    function moveTo(point) {
      current?.classList.remove("current");
      if (current?.isConnected) send(current, "mouseout"); // Vega hides the text
      current = point;
      announced.textContent = "";
      if (!point) return;
      point.classList.add("current");
      point.scrollIntoView({ block: "nearest" });
      send(point, "pointermove"); // Vega shows the text
      const rows = [...document.querySelectorAll("#vg-tooltip-element tr")];
      announced.textContent = rows
        .map((row) => [...row.cells].map((cell) => cell.textContent).join(": ")).join("; ");
    }

    chart.addEventListener("blur", () => moveTo(null));
    chart.addEventListener("keydown", (event) => {
      if (event.target !== chart) return; // Vega's menu is inside
      if (event.key === "Escape") chart.blur();
      if (!(event.key in arrows)) return;
      event.preventDefault(); // no scrolling
      const [right, down] = arrows[event.key];
      const found = [...chart.querySelectorAll('[aria-roledescription="point"]')]
        .map((point) => ({ point, at: point.getScreenCTM() }))
        .sort(({ at: a }, { at: b }) => right ? a.e - b.e || a.f - b.f : a.f - b.f || a.e - b.e);
      const index = found.findIndex(({ point }) => point === current);
      const next = found[index < 0 ? 0 : index + right + down];
      if (next) moveTo(next.point);
    });
  }

  const url = URL.createObjectURL(
    new Blob([window.dataTablesModule], { type: "text/javascript" }));
  const { default: DataTable } = await import(url);
  URL.revokeObjectURL(url);

  const tables = [...document.querySelectorAll("table.data")].map((element) => {
    const table = new DataTable(element, {
      paging: false, info: false, order: [], autoWidth: false,
      layout: { topStart: "search", topEnd: null, bottomStart: null, bottomEnd: null },
      language: { search: "Find in rows: ", zeroRecords: "No row matches." },
    });
    table.search.fixed("hidden", (_, __, index) => !hidden.has(table.row(index).node().dataset.variant));
    for (const select of document.querySelectorAll(`select[data-table="${element.id}"]`)) {
      select.addEventListener("change", () => {
        const wanted = select.value;
        table.column(Number(select.dataset.column))
          .search.fixed("chosen", (cell) => wanted === "" || cell === wanted).draw();
      });
    }
    return table;
  });

  const boxes = [...document.querySelectorAll(".variants input")]; // each section has its own
  for (const box of boxes) {
    box.addEventListener("change", () => {
      hidden[box.checked ? "delete" : "add"](box.value);
      for (const twin of boxes) if (twin.value === box.value) twin.checked = box.checked;
      for (const { view } of drawn.values()) view.signal("hidden", [...hidden]).runAsync();
      for (const table of tables) table.draw();
    });
  }
  for (const figure of document.querySelectorAll("figure[data-chart]")) {
    figure.addEventListener("change", () => draw(figure));
    followKeys(figure);
  }
  darkness.addEventListener("change", drawAll);
  await drawAll();
  root.dataset.ready = "yes";
})();
