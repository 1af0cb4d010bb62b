// The health of the platform, asked on arrival, on coming back to the tab, and on demand.
import { useCallback, useEffect, useState } from "react";
import { execute, ServerProblem } from "../../api/graphql";
import healthQuery from "../../operations/health.graphql?raw";

interface Health {
  database: boolean;
  redis: boolean;
  workers: number;
  schedulerLagMs: number;
}

type Checked = { health: Health; at: Date } | { problem: string; at: Date } | null;

export function HealthLine() {
  const [checked, setChecked] = useState<Checked>(null);
  const check = useCallback(async () => setChecked(await ask()), []);
  useEffect(() => {
    const onReturn = () => document.visibilityState === "visible" && void check();
    document.addEventListener("visibilitychange", onReturn);
    void check();
    return () => document.removeEventListener("visibilitychange", onReturn);
  }, [check]);
  return (
    <section className="health" aria-label="Health">
      <div className="health-facts" role="status">
        {checked === null ? <span className="fact">Asking the server how it is…</span> : <Facts checked={checked} />}
      </div>
      <p className="health-check">
        {checked !== null && <span>as of {checked.at.toLocaleTimeString()}</span>}
        <button className="button" type="button" onClick={() => void check()}>
          Check again
        </button>
      </p>
    </section>
  );
}

async function ask(): Promise<Checked> {
  try {
    const { health } = await execute<{ health: Health }>(healthQuery);
    return { health, at: new Date() };
  } catch (problem) {
    if (!(problem instanceof ServerProblem)) {
      throw problem;
    }
    return { problem: problem.message, at: new Date() };
  }
}

function Facts({ checked }: { checked: NonNullable<Checked> }) {
  if ("problem" in checked) {
    return <Fact tone="bad" text={checked.problem} />;
  }
  const { database, redis, workers, schedulerLagMs } = checked.health;
  return (
    <>
      <Fact tone={database ? "good" : "bad"} text={database ? "Database answers" : "Database does not answer"} />
      <Fact tone={redis ? "good" : "bad"} text={redis ? "Redis answers" : "Redis does not answer"} />
      <Fact tone={workers > 0 ? "good" : "warn"} text={workersInWords(workers)} />
      <Fact tone={schedulerLagMs < 5000 ? "good" : "warn"} text={`Scheduler ${lagInWords(schedulerLagMs)}`} />
    </>
  );
}

function Fact({ tone, text }: { tone: "good" | "warn" | "bad"; text: string }) {
  return (
    <span className="fact">
      <span className={`dot dot-${tone}`} aria-hidden="true" />
      {text}
    </span>
  );
}

function workersInWords(count: number): string {
  return count === 0 ? "No worker: runs will wait" : count === 1 ? "1 worker" : `${count} workers`;
}

function lagInWords(lagMs: number): string {
  return lagMs < 1000 ? "on time" : `${(lagMs / 1000).toLocaleString(undefined, { maximumFractionDigits: 1 })} s behind`;
}
