// One operation to copy, with the variables that it wants.
import { useRef, useState } from "react";
import { GraphQLText } from "./GraphQLText";

interface ExampleProps {
  title: string;
  explanation: string;
  operation: string;
  variables: object;
}

export function Example({ title, explanation, operation, variables }: ExampleProps) {
  const code = useRef<HTMLElement>(null);
  const [told, setTold] = useState("");
  const text = operation.replace(/^#.*\n/gm, "").trim();
  async function onCopy() {
    setTold((await copy(text, code.current)) ? "Copied" : "Selected: press Ctrl-C");
  }
  return (
    <li className="example">
      <div className="example-head">
        <h3>{title}</h3>
        <p>{explanation}</p>
        <p className="example-copy">
          <button className="button" type="button" onClick={() => void onCopy()} aria-label={`Copy operation: ${title}`}>
            Copy
          </button>
          <span role="status">{told}</span>
        </p>
      </div>
      <div className="example-text">
        {/* Scrolls sideways on a narrow screen, so the keyboard must reach it. */}
        <pre tabIndex={0} aria-label={`${title}: operation`}>
          <code ref={code}>
            <GraphQLText text={text} />
          </code>
        </pre>
        <pre className="example-variables" aria-label={`${title}: variables`}>
          <code>{JSON.stringify(variables)}</code>
        </pre>
      </div>
    </li>
  );
}

/** The clipboard exists only on https and localhost; elsewhere the older way, and at last the selection itself. */
async function copy(text: string, element: HTMLElement | null): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    if (element !== null) {
      window.getSelection()?.selectAllChildren(element);
    }
    return document.execCommand("copy");
  }
}
