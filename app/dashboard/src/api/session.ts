// The signed-in session of this browser tab: kept in sessionStorage, refreshed shortly before it expires.
import loginMutation from "../operations/login.graphql?raw";
import logoutMutation from "../operations/logout.graphql?raw";
import refreshMutation from "../operations/refresh-session.graphql?raw";
import { execute, ServerProblem, type UserError } from "./graphql";

const STORAGE_KEY = "data-phantom:session";
const REFRESH_LEAD_MS = 60_000;
const SHORTEST_WAIT_MS = 10_000; // a clock that runs ahead, or a server that is away, must not turn into a storm of requests
const LONGEST_WAIT_MS = 86_400_000; // setTimeout fires at once past 2^31 ms

export interface Session {
  accessToken: string;
  refreshToken: string;
  expiresAt: string;
  username: string;
}

/** What the pages show. `notice` says why a session ended when the person did not end it. */
export interface SessionState {
  session: Session | null;
  notice: string | null;
}

interface SessionPayload {
  session: (Omit<Session, "username"> & { user: { username: string } }) | null;
  errors: UserError[];
}

export class SessionKeeper {
  private state: SessionState;
  private timer: number | undefined;
  private refreshing: Promise<void> | null = null;
  private readonly listeners = new Set<() => void>();

  constructor(private readonly storage: Storage) {
    this.state = { session: readStored(storage), notice: null };
    this.schedule();
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  readonly snapshot = (): SessionState => this.state;

  /** The token to send now, refreshed first when the machine slept through its expiry. */
  async accessToken(): Promise<string | null> {
    const { session } = this.state;
    if (session !== null && Date.parse(session.expiresAt) <= Date.now()) {
      await this.refresh();
    }
    return this.state.session?.accessToken ?? null;
  }

  /** Signs in; the errors that the person can mend, none when it worked. Throws ServerProblem. */
  async signIn(email: string, password: string): Promise<UserError[]> {
    const { login } = await execute<{ login: SessionPayload }>(loginMutation, { input: { email, password } });
    if (login.session === null) {
      return login.errors.length > 0 ? login.errors : [{ message: "Signing in was refused. Check the email and the password." }];
    }
    this.keep(login.session);
    return [];
  }

  /** Forgets the session here at once, and tells the server so that the tokens die there too. */
  async signOut(): Promise<void> {
    const { session } = this.state;
    this.drop(null);
    if (session !== null) {
      await execute(logoutMutation, { input: { refreshToken: session.refreshToken } }, session.accessToken).catch(() => undefined);
    }
  }

  /** Trades the refresh token for a new session. One at a time: a refresh token works once. */
  private refresh(): Promise<void> {
    this.refreshing ??= this.tradeToken().finally(() => {
      this.refreshing = null;
    });
    return this.refreshing;
  }

  private async tradeToken(): Promise<void> {
    const traded = this.state.session;
    if (traded === null) {
      return;
    }
    try {
      const { refreshSession } = await execute<{ refreshSession: SessionPayload }>(refreshMutation, {
        input: { refreshToken: traded.refreshToken },
      });
      if (this.state.session !== traded) {
        return; // signed out, or in as somebody else, meanwhile
      }
      if (refreshSession.session === null) {
        this.drop("Your session has ended. Sign in again to go on.");
      } else {
        this.keep(refreshSession.session);
      }
    } catch (problem) {
      if (problem instanceof ServerProblem && this.state.session === traded) {
        this.schedule(); // away or overloaded: the session may well be good still, so ask again
      } else if (!(problem instanceof ServerProblem)) {
        throw problem;
      }
    }
  }

  private keep({ user, ...tokens }: NonNullable<SessionPayload["session"]>): void {
    const session: Session = { ...tokens, username: user.username };
    this.storage.setItem(STORAGE_KEY, JSON.stringify(session));
    this.change({ session, notice: null });
  }

  private drop(notice: string | null): void {
    this.storage.removeItem(STORAGE_KEY);
    this.change({ session: null, notice });
  }

  private change(state: SessionState): void {
    this.state = state;
    this.schedule();
    for (const listener of this.listeners) {
      listener();
    }
  }

  private schedule(): void {
    window.clearTimeout(this.timer);
    const { session } = this.state;
    if (session !== null) {
      const untilDue = Date.parse(session.expiresAt) - Date.now() - REFRESH_LEAD_MS;
      const wait = Math.min(Math.max(untilDue, SHORTEST_WAIT_MS), LONGEST_WAIT_MS);
      this.timer = window.setTimeout(() => (untilDue > wait ? this.schedule() : void this.refresh()), wait);
    }
  }
}

function readStored(storage: Storage): Session | null {
  try {
    const stored = JSON.parse(storage.getItem(STORAGE_KEY) ?? "null") as Partial<Session> | null;
    const whole = stored && [stored.accessToken, stored.refreshToken, stored.expiresAt, stored.username].every((part) => typeof part === "string");
    return whole ? (stored as Session) : null;
  } catch {
    return null;
  }
}
