// GraphQL source with its keywords, types and variables set apart.

const TOKENS = /(?<keyword>\b(?:query|mutation|subscription)\b)|(?<variable>\$\w+)|(?<type>\b(?:[A-Z]\w+!?|ID!?))|(?<plain>[\s\S])/g;

export function GraphQLText({ text }: { text: string }) {
  return runs(text).map(({ kind, text: part }, index) =>
    kind === "plain" ? (
      part
    ) : (
      // The text never changes, so its places are as good as keys.
      <span key={index} className={`token-${kind}`}>
        {part}
      </span>
    ),
  );
}

function runs(text: string): { kind: string; text: string }[] {
  const found: { kind: string; text: string }[] = [];
  for (const match of text.matchAll(TOKENS)) {
    const kind = Object.entries(match.groups ?? {}).find(([, part]) => part !== undefined)?.[0] ?? "plain";
    const last = found.at(-1);
    if (kind === "plain" && last?.kind === "plain") {
      last.text += match[0];
    } else {
      found.push({ kind, text: match[0] });
    }
  }
  return found;
}
