// The start page: one line of what this is, its health, GraphiQL, and three operations to begin with.
import login from "../../operations/login.graphql?raw";
import runEvents from "../../operations/run-events.graphql?raw";
import runPlayground from "../../operations/run-playground.graphql?raw";
import { GRAPHQL_PATH } from "../../api/graphql";
import { Mark } from "../../ui/Mark";
import { Example } from "./Example";
import { HealthLine } from "./HealthLine";
import { Phantom } from "./Phantom";

export function Start() {
  return (
    <div className="start">
      <header className="bar start-bar">
        <a className="brand" href="/" aria-current="page">
          <Mark />
          Data Phantom
        </a>
      </header>
      <main>
        <section className="start-hero">
          <div>
            <h1>Data Phantom is&nbsp;running.</h1>
            <p className="start-lead">
              Playgrounds of SQL tasks over five engines: run them, watch them live, and reconcile their outputs row by row.
            </p>
            <p className="start-actions">
              <a className="button button-primary button-large" href={GRAPHQL_PATH}>
                Open GraphiQL
              </a>
              <a className="start-jump" href="#operations">
                Three operations to begin with
              </a>
            </p>
          </div>
          <Phantom />
        </section>
        <HealthLine />
        <section className="start-operations" id="operations" aria-labelledby="operations-title">
          <h2 id="operations-title">Three operations to begin with</h2>
          <p className="start-note">
            Send them by POST to <code>{GRAPHQL_PATH}</code>, the last one over a websocket at the same address with the{" "}
            <code>graphql-transport-ws</code> subprotocol, or paste them into GraphiQL.
          </p>
          <ol>
            <Example
              title="Sign in"
              explanation="Gives an access token. Send it as Authorization: Bearer … with what follows; GraphiQL does it for you."
              operation={login}
              variables={{ input: { email: "you@example.com", password: "…" } }}
            />
            <Example
              title="Run a playground"
              explanation="Starts all its tasks, each as soon as its parents have succeeded, and gives the run back at once."
              operation={runPlayground}
              variables={{ input: { playgroundId: "…" } }}
            />
            <Example
              title="Follow the run"
              explanation="Every change of status, from the start of the run to its end, as it happens."
              operation={runEvents}
              variables={{ runId: "…" }}
            />
          </ol>
        </section>
      </main>
      <footer className="start-footer">
        <p>The dashboard will live here, at this address. Until then, everything is in GraphiQL.</p>
      </footer>
    </div>
  );
}
