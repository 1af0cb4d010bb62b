// The start page's picture: an output, its phantom laid over it, and the two cells where they differ.

const COLUMNS = 5;
const ROWS = 6;
const CELL = { width: 44, height: 22, gap: 6 };
const DIFFERING = new Set(["3:1", "2:4"]);

export function Phantom() {
  return (
    <svg className="phantom" viewBox="0 0 330 246" aria-hidden="true" focusable="false">
      <g transform="translate(54 54)">{cells("phantom-ghost")}</g>
      <g transform="translate(12 18)">{cells("phantom-solid")}</g>
    </svg>
  );
}

function cells(className: string) {
  return Array.from({ length: COLUMNS * ROWS }, (_, index) => {
    const column = index % COLUMNS;
    const row = Math.floor(index / COLUMNS);
    const place = `${column}:${row}`;
    const differs = DIFFERING.has(place) ? " phantom-differs" : "";
    return (
      <rect
        key={place}
        className={`${className}${differs}${row === 0 ? " phantom-header" : ""}`}
        x={column * (CELL.width + CELL.gap)}
        y={row * (CELL.height + CELL.gap)}
        width={CELL.width}
        height={CELL.height}
        rx="3"
      />
    );
  });
}
