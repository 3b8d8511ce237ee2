"use strict";
// Charts come ready-made from Python; here they are drawn, and what the reader switches is applied.
(() => {
  const source = document.getElementById("data").textContent;
  const darkColors = JSON.parse(source).dark;
  const darkPage = matchMedia("(prefers-color-scheme: dark)");
  const config = {
    responsive: true,
    displaylogo: false,
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
  };
  let page;

  const load = () => {
    page = JSON.parse(source, (key, value) =>
      darkPage.matches && typeof value === "string" && value in darkColors ? darkColors[value] : value);
  };

  const inputs = () => [...document.querySelectorAll("input[data-switch]")];
  const isOn = (group, value) =>
    inputs().some((input) => input.dataset.switch === group && input.value === value && input.checked);

  const draw = (element) => {
    const chart = page.charts[element.dataset.chart];
    for (const trace of chart.data) {
      const on = Object.entries((trace.meta && trace.meta.on) || {});
      trace.visible = on.every(([group, value]) => isOn(group, value));
    }
    const axis = chart.layout.yaxis;
    if (chart.logarithmic) {
      axis.type = isOn(chart.logarithmic, "log") ? "log" : "linear";
    }
    const chosen = inputs().find((input) => input.checked && input.value in chart.ranges);
    if (chosen) {
      axis.range = chart.ranges[chosen.value];
      axis.autorange = false;
    }
    // a reader's zoom stays, unless the axis became another one
    chart.layout.uirevision = "kept";
    chart.layout.modebar = {bgcolor: "rgba(0,0,0,0)"}; // on a phone it is always there, above marks
    axis.uirevision = `${axis.type} ${chosen ? chosen.value : ""}`;
    return Plotly.react(element, chart.data, chart.layout, config);
  };

  const drawAll = () => document.querySelectorAll("[data-chart]").forEach(draw);

  const line = (parent, tag, text) => {
    const element = document.createElement(tag);
    element.textContent = text;
    parent.append(element);
    return element;
  };

  const showDetail = (point) => {
    const detail = page.details[point.customdata];
    const panel = document.getElementById("detail");
    if (!detail || !panel) return;
    panel.replaceChildren();
    line(line(panel, "p", ""), "strong", detail.title);
    line(panel, "p", detail.facts);
    for (const [what, run] of detail.seeds) {
      const row = line(panel, "p", `${what} `);
      line(row, "code", page.commands[run]);
    }
  };

  const sort = (button) => {
    const head = button.closest("th");
    const table = button.closest("table");
    const place = [...head.parentNode.children].indexOf(head);
    const rising = head.getAttribute("aria-sort") !== "ascending";
    for (const other of head.parentNode.children) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", rising ? "ascending" : "descending");
    const key = (row) => row.children[place].textContent.trim();
    const number = (text) => parseFloat(text.replace(/^< /, "").replaceAll(",", ""));
    const compare = (a, b) => {
      const [x, y] = [number(key(a)), number(key(b))];
      if (Number.isNaN(x) && Number.isNaN(y)) return (rising ? 1 : -1) * key(a).localeCompare(key(b));
      if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) ? 1 : -1; // what has no number: last
      return (rising ? 1 : -1) * (x - y);
    };
    const body = table.tBodies[0];
    body.append(...[...body.rows].sort(compare));
  };

  load();
  drawAll();
  document.querySelectorAll("[data-chart]").forEach((element) =>
    element.on("plotly_hover", (event) => showDetail(event.points[0])));
  inputs().forEach((input) => input.addEventListener("change", drawAll));
  document.querySelectorAll("th button").forEach((button) =>
    button.addEventListener("click", () => sort(button)));
  darkPage.addEventListener("change", () => { load(); drawAll(); });
  document.documentElement.dataset.ready = "true";
})();
