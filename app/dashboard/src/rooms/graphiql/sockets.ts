// The websocket of a signed-in person, and one apart for each subscription with headers of its own.
import type { FetcherParams, Observable } from "@graphiql/toolkit";
import type { ExecutionResult } from "graphql";
import { type Client, createClient, type FormattedExecutionResult, type Sink } from "graphql-ws";
import { GRAPHQL_PATH } from "../../api/graphql";

export type TypedHeaders = Record<string, unknown>;
type Result = ExecutionResult<Record<string, unknown>>;

const RETRIES = 8;
const RETRIES_WITHIN_MS = 60_000;

const CLOSE_REASONS: Record<number, string> = {
  4401: "The server asks who you are. Sign in at the top, or type an Authorization header, then subscribe again.",
  4403: "The server refused this session. Sign in again, then subscribe again.",
  4406: "The server does not speak graphql-transport-ws.",
  4429: "Too many connections. Stop another subscription first.",
};

export class SocketPool {
  private shared: Client | null = null;

  constructor(private readonly accessToken: () => Promise<string | null>) {}

  /** The subscription's results, over the session's socket or, when headers were typed, over its own. */
  subscribe(operation: FetcherParams, typed: TypedHeaders): Observable<Result> {
    const own = Object.keys(typed).length > 0;
    const client = own ? this.connect(typed) : (this.shared ??= this.connect({}));
    return {
      subscribe: (observer: unknown) => {
        const sink = toSink(observer as Observer, () => own && void client.dispose());
        const unsubscribe = client.subscribe(toPayload(operation), sink);
        return { unsubscribe };
      },
    };
  }

  /** After a refresh: reconnects with the new token before the server closes the socket, and subscribes again. */
  renew(): void {
    this.shared?.terminate();
  }

  /** After signing in or out: what was subscribed as somebody else ends. */
  reset(): void {
    void this.shared?.dispose();
    this.shared = null;
  }

  private connect(typed: TypedHeaders): Client {
    return createClient({
      url: new URL(GRAPHQL_PATH, location.href.replace(/^http/, "ws")).href,
      connectionParams: async () => withSession(typed, await this.accessToken()),
      retryAttempts: RETRIES,
      retryWait: (retries) => new Promise((resolve) => setTimeout(resolve, Math.min(250 * 2 ** retries, 8000) + Math.random() * 250)),
      shouldRetry: fewWithin(RETRIES, RETRIES_WITHIN_MS),
    });
  }
}

interface Observer {
  next: (value: Result) => void;
  error: (error: unknown) => void;
  complete: () => void;
}

/** The client forgets its count at each connection, so a server that accepts and then breaks would be asked for ever. */
function fewWithin(limit: number, spanMs: number): () => boolean {
  let times: number[] = [];
  return () => {
    const now = Date.now();
    times = [...times.filter((time) => now - time < spanMs), now];
    return times.length <= limit;
  };
}

function withSession(typed: TypedHeaders, token: string | null): TypedHeaders {
  const says = Object.keys(typed).some((name) => name.toLowerCase() === "authorization");
  return says || token === null ? typed : { ...typed, Authorization: `Bearer ${token}` };
}

function toPayload({ query, operationName, variables }: FetcherParams) {
  return { query, operationName: operationName ?? null, variables: variables as Record<string, unknown> | null };
}

function toSink(observer: Observer, ended: () => void): Sink<FormattedExecutionResult<Record<string, unknown>>> {
  return {
    next: (value) => observer.next(value as unknown as Result),
    error: (error) => {
      ended();
      observer.error(inWords(error));
    },
    complete: () => {
      ended();
      observer.complete();
    },
  };
}

/** GraphiQL prints what it is given as JSON, so: GraphQL errors as they are, a broken connection as a sentence. */
function inWords(error: unknown): unknown {
  if (Array.isArray(error)) {
    return error;
  }
  if (error instanceof CloseEvent) {
    const reason = error.reason ? ` (${error.reason})` : "";
    const words = CLOSE_REASONS[error.code] ?? "The connection broke, and could not be made again. Check that Data Phantom is running.";
    return { message: `${words} [${error.code}${reason}]` };
  }
  return { message: error instanceof Error ? error.message : "The connection could not be made. Check that Data Phantom is running." };
}
