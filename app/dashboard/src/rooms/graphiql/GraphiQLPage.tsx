// GraphiQL under the session bar; the schema is read again when the person changes.
import { explorerPlugin } from "@graphiql/plugin-explorer";
import { GraphiQL, HISTORY_PLUGIN } from "graphiql";
import { useEffect, useMemo, useRef, useSyncExternalStore } from "react";
import type { SessionKeeper } from "../../api/session";
import { createFetcher } from "./fetcher";
import { SessionBar } from "./SessionBar";
import { SocketPool } from "./sockets";
import { DEFAULT_TABS } from "./tabs";

const PLUGINS = [HISTORY_PLUGIN, explorerPlugin()];

export function GraphiQLPage({ keeper }: { keeper: SessionKeeper }) {
  const { session, notice } = useSyncExternalStore(keeper.subscribe, keeper.snapshot);
  const username = session?.username ?? null;
  const sockets = useMemo(() => new SocketPool(() => keeper.accessToken()), [keeper]);
  useSocketsOf(sockets, username, session?.accessToken ?? null);
  // A new fetcher makes GraphiQL read the schema again, which is right for a new person and wasteful for a refreshed token.
  const fetcher = useMemo(() => createFetcher(() => keeper.accessToken(), sockets), [keeper, sockets, username]);
  return (
    <>
      <SessionBar keeper={keeper} username={username} notice={notice} />
      <main className="graphiql-room" aria-label="GraphiQL">
        <GraphiQL fetcher={fetcher} plugins={PLUGINS} defaultTabs={DEFAULT_TABS} defaultEditorToolsVisibility="variables">
          <GraphiQL.Logo>
            <span />
          </GraphiQL.Logo>
        </GraphiQL>
      </main>
    </>
  );
}

function useSocketsOf(sockets: SocketPool, username: string | null, accessToken: string | null): void {
  const last = useRef({ username, accessToken });
  useEffect(() => {
    if (last.current.username !== username) {
      sockets.reset();
    } else if (last.current.accessToken !== accessToken) {
      sockets.renew();
    }
    last.current = { username, accessToken };
  }, [sockets, username, accessToken]);
}
