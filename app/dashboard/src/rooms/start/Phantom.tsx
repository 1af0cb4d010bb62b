// The start page's picture: an output, its phantom laid over it, and the two cells where they differ.

const COLUMNS = 5;
const ROWS = 6;
const CELL = { width: 42, height: 20 };
const PITCH = { x: 62, y: 36 }; // wide enough for a cell and its phantom to be seen as a pair
const DIFFERING = new Set(["3:1", "2:4"]);

export function Phantom() {
  return (
    <svg className="phantom" viewBox="0 0 310 220" aria-hidden="true" focusable="false">
      <g transform="translate(4 6)">{cells("phantom-solid")}</g>
      <g className="phantom-over" transform="translate(15 16)">
        {cells("phantom-ghost")}
      </g>
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
        x={column * PITCH.x}
        y={row * PITCH.y}
        width={CELL.width}
        height={CELL.height}
        rx="3"
      />
    );
  });
}
