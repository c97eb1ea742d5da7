// A table of plain data. Cells become text nodes, never HTML; a redrawn table keeps the focus where it was.

function cellContent(cell, row, model) {
  if (cell.action) {
    const button = document.createElement("button");
    button.className = `jupyter-button widget-button d-small ${cell.css}`;
    button.textContent = cell.text;
    button.title = cell.title;
    button.disabled = !cell.enabled;
    button.dataset.key = `${row.id} ${cell.action}`;
    button.addEventListener("click", () => model.send({ action: cell.action, row: row.id }));
    return button;
  }
  const span = document.createElement("span");
  span.className = cell.css;
  if (cell.title) span.title = cell.title;
  if (cell.tone) {
    span.className += ` d-badge d-${cell.tone}`;
    if (cell.sign) {
      const sign = document.createElement("span");
      sign.setAttribute("aria-hidden", "true");
      sign.textContent = cell.sign + " ";
      span.append(sign);
    }
  }
  span.append(cell.text);
  return span;
}

function draw(model, table) {
  const focused = table.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  const headings = model.get("headings");
  const caption = document.createElement("caption");
  caption.textContent = model.get("caption");
  const head = document.createElement("thead");
  const headRow = head.insertRow();
  const rows = model.get("rows");
  headings.forEach((text, column) => {
    const heading = document.createElement("th");
    heading.scope = "col";
    heading.textContent = text;
    if (rows.length && rows[0].cells[column]?.numeric) heading.className = "d-numeric";
    headRow.append(heading);
  });
  const body = document.createElement("tbody");
  for (const row of rows) {
    const line = body.insertRow();
    line.dataset.row = row.id;
    if (row.chosen) line.setAttribute("aria-current", "true");
    row.cells.forEach((cell, column) => {
      const place = line.insertCell();
      place.dataset.heading = headings[column] ?? "";
      if (cell.numeric) place.className = "d-numeric";
      place.append(cellContent(cell, row, model));
    });
  }
  if (!rows.length) {
    const place = body.insertRow().insertCell();
    place.colSpan = headings.length;
    place.className = "d-muted";
    place.textContent = model.get("empty");
  }
  table.replaceChildren(caption, head, body);
  if (focused) table.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
}

export default {
  render({ model, el }) {
    const frame = document.createElement("div");
    frame.className = "d-table-frame";
    frame.tabIndex = 0;
    frame.setAttribute("role", "region");
    frame.setAttribute("aria-label", model.get("caption"));
    const table = document.createElement("table");
    table.className = "d-table";
    frame.append(table);
    el.append(frame);
    const redraw = () => draw(model, table);
    model.on("change:rows change:caption change:headings change:empty", redraw);
    redraw();
    return () => model.off("change:rows change:caption change:headings change:empty", redraw);
  },
};
