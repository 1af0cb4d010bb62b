// The product's mark: a table and the phantom that it is compared with. Solid where the two agree.
export function Mark({ size = 24 }: { size?: number }) {
  return (
    <svg className="mark" width={size} height={size} viewBox="0 0 32 32" fill="none" aria-hidden="true" focusable="false">
      <rect x="12" y="4" width="16" height="18" rx="2.5" stroke="currentColor" strokeWidth="2" strokeDasharray="3.4 2.6" />
      <path
        fill="currentColor"
        d="M6.5 10H9v13a2 2 0 0 0 2 2h9v.5a2.5 2.5 0 0 1-2.5 2.5h-11A2.5 2.5 0 0 1 4 25.5v-13A2.5 2.5 0 0 1 6.5 10Z"
      />
      <rect x="12" y="10" width="8" height="12" rx="1" fill="currentColor" />
    </svg>
  );
}
