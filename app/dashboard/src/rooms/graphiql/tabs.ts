// The tabs that GraphiQL opens with the first time: look, list, run, follow.
import playgrounds from "../../operations/playgrounds.graphql?raw";
import runEvents from "../../operations/run-events.graphql?raw";
import runPlayground from "../../operations/run-playground.graphql?raw";
import welcome from "../../operations/welcome.graphql?raw";

export const DEFAULT_TABS = [
  { query: welcome },
  { query: playgrounds },
  { query: runPlayground, variables: JSON.stringify({ input: { playgroundId: "" } }, null, 2) },
  { query: runEvents, variables: JSON.stringify({ runId: "", after: null }, null, 2) },
];
