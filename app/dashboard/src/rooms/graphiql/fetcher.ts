// How GraphiQL reaches the server: POST for queries and mutations, a websocket for subscriptions, one session for both.
import type { Fetcher, FetcherParams } from "@graphiql/toolkit";
import { type ExecutionResult, getOperationAST, type OperationDefinitionNode, parse } from "graphql";
import { GRAPHQL_PATH } from "../../api/graphql";
import type { SocketPool, TypedHeaders } from "./sockets";

type Result = ExecutionResult<Record<string, unknown>>;

/** The session's token goes with every request, unless the person typed an Authorization header. */
export function createFetcher(accessToken: () => Promise<string | null>, sockets: SocketPool): Fetcher {
  return (params, options) => {
    const typed: TypedHeaders = options?.headers ?? {};
    const chosen = chosenOperation(params);
    const operation = chosen === null ? params : { ...params, operationName: chosen.name?.value ?? null };
    return chosen?.operation === "subscription" ? sockets.subscribe(operation, typed) : post(operation, typed, accessToken);
  };
}

/**
 * GraphiQL's own document and operation name lag behind the text by a moment: who changes the tab and runs at once
 * would send the one before. So: the named operation if the text has it, else its only one; null lets the server say why.
 */
function chosenOperation({ query, operationName }: FetcherParams): OperationDefinitionNode | null {
  try {
    const document = parse(query);
    return (operationName && getOperationAST(document, operationName)) || (getOperationAST(document) ?? null);
  } catch {
    return null;
  }
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
