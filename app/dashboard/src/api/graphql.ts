// One GraphQL operation over HTTP, for the pages' own use: data, or a ServerProblem in words.

export const GRAPHQL_PATH = "/graphql";

export interface UserError {
  code?: string;
  message: string;
  path?: string[];
}

/** Something that the person should read: the server did not answer, or refused the operation as a whole. */
export class ServerProblem extends Error {
  constructor(
    message: string,
    readonly answered: boolean,
  ) {
    super(message);
  }
}

interface Answer<Data> {
  data?: Data | null;
  errors?: { message: string }[];
}

export async function execute<Data>(query: string, variables: object = {}, accessToken: string | null = null): Promise<Data> {
  const headers = new Headers({ "Content-Type": "application/json", Accept: "application/json" });
  if (accessToken !== null) {
    headers.set("Authorization", `Bearer ${accessToken}`);
  }
  let response: Response;
  try {
    response = await fetch(GRAPHQL_PATH, { method: "POST", headers, body: JSON.stringify({ query, variables }) });
  } catch {
    throw new ServerProblem("The server does not answer. Check that Data Phantom is running, then try again.", false);
  }
  const answer = (await response.json().catch(() => null)) as Answer<Data> | null;
  const firstError = answer?.errors?.[0];
  if (firstError !== undefined) {
    throw new ServerProblem(firstError.message, true);
  }
  if (!answer?.data) {
    // A proxy's page, or a server that is just starting: says nothing about the operation itself.
    throw new ServerProblem(`The server answered ${response.status} instead of GraphQL. Try again in a moment.`, false);
  }
  return answer.data;
}
