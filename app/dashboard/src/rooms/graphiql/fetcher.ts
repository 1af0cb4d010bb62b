// How GraphiQL reaches the server: POST for queries and mutations, a websocket for subscriptions, one session for both.
import type { Fetcher, FetcherParams } from "@graphiql/toolkit";
import { type DocumentNode, type ExecutionResult, getOperationAST } from "graphql";
import { GRAPHQL_PATH } from "../../api/graphql";
import type { SocketPool, TypedHeaders } from "./sockets";

type Result = ExecutionResult<Record<string, unknown>>;

/** The session's token goes with every request, unless the person typed an Authorization header. */
export function createFetcher(accessToken: () => Promise<string | null>, sockets: SocketPool): Fetcher {
  return (operation, options) => {
    const typed: TypedHeaders = options?.headers ?? {};
    if (isSubscription(options?.documentAST, operation.operationName)) {
      return sockets.subscribe(operation, typed);
    }
    return post(operation, typed, accessToken);
  };
}

function isSubscription(document: DocumentNode | undefined, operationName: string | null | undefined): boolean {
  return document !== undefined && getOperationAST(document, operationName)?.operation === "subscription";
}

async function post(operation: FetcherParams, typed: TypedHeaders, accessToken: () => Promise<string | null>): Promise<Result> {
  const headers = new Headers({ "Content-Type": "application/json", Accept: "application/json" });
  try {
    for (const [name, value] of Object.entries(typed)) {
      headers.set(name, String(value));
    }
  } catch (error) {
    return failure(`Request not sent. Request headers: ${(error as Error).message}`);
  }
  const token = headers.has("Authorization") ? null : await accessToken();
  if (token !== null) {
    headers.set("Authorization", `Bearer ${token}`);
  }
  let response: Response;
  try {
    response = await fetch(GRAPHQL_PATH, { method: "POST", headers, body: JSON.stringify(operation) });
  } catch {
    return failure("The server does not answer. Check that Data Phantom is running, then try again.");
  }
  const text = await response.text();
  try {
    return JSON.parse(text) as Result;
  } catch {
    return failure(`The server answered ${response.status} ${response.statusText} instead of JSON: ${text.slice(0, 200)}`);
  }
}

/** Shown in the response pane like an error of the server, without a stack of this page's own code. */
function failure(message: string): Result {
  return { errors: [{ message }] } as unknown as Result;
}
