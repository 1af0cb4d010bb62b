// The slim bar above GraphiQL: the product's name, and signing in and out.
import { type SubmitEvent, useEffect, useRef, useState } from "react";
import { ServerProblem, type UserError } from "../../api/graphql";
import type { SessionKeeper } from "../../api/session";
import { Mark } from "../../ui/Mark";

interface SessionBarProps {
  keeper: SessionKeeper;
  username: string | null;
  notice: string | null;
}

export function SessionBar({ keeper, username, notice }: SessionBarProps) {
  return (
    <header className="bar session-bar">
      <a className="brand" href="/">
        <Mark size={22} />
        Data Phantom
      </a>
      <span className="session-room">GraphiQL</span>
      {username === null ? <SignIn keeper={keeper} notice={notice} /> : <SignedIn keeper={keeper} username={username} />}
    </header>
  );
}

function SignIn({ keeper, notice }: { keeper: SessionKeeper; notice: string | null }) {
  const [errors, setErrors] = useState<UserError[]>([]);
  const [busy, setBusy] = useState(false);
  const messages = errors.length > 0 ? errors.map((error) => error.message) : notice === null ? [] : [notice];

  async function submit(event: SubmitEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    setBusy(true);
    try {
      setErrors(await keeper.signIn(String(form.get("email")), String(form.get("password"))));
    } catch (problem) {
      if (!(problem instanceof ServerProblem)) {
        throw problem;
      }
      setErrors([{ message: problem.message }]);
    } finally {
      setBusy(false);
    }
  }

  return (
    <form className="session-form" aria-label="Sign in" onSubmit={submit}>
      <Field name="email" label="Email" type="email" autoComplete="username" invalid={concerns(errors, "email")} />
      <Field name="password" label="Password" type="password" autoComplete="current-password" invalid={concerns(errors, "password")} />
      <button className="button button-primary" type="submit" disabled={busy}>
        {busy ? "Signing in…" : "Sign in"}
      </button>
      <p id="session-problem" className="session-problem" role="alert">
        {messages.join(" ")}
      </p>
    </form>
  );
}

interface FieldProps {
  name: string;
  label: string;
  type: string;
  autoComplete: string;
  invalid: boolean;
}

function Field({ name, label, type, autoComplete, invalid }: FieldProps) {
  return (
    <label className="session-field">
      <span>{label}</span>
      <input
        className="field"
        name={name}
        type={type}
        autoComplete={autoComplete}
        required
        aria-invalid={invalid}
        aria-describedby="session-problem"
      />
    </label>
  );
}

/** Wrong credentials concern both fields: which one was wrong is not told. */
function concerns(errors: UserError[], field: string): boolean {
  return errors.some((error) => error.code === "BAD_CREDENTIALS" || error.path?.at(-1) === field);
}

function SignedIn({ keeper, username }: { keeper: SessionKeeper; username: string }) {
  const status = useRef<HTMLParagraphElement>(null);
  // The form that held the focus is gone: a person who signed in by keyboard goes on from here.
  useEffect(() => {
    if (document.activeElement === document.body) {
      status.current?.focus();
    }
  }, []);
  return (
    <div className="session-form">
      <p className="session-who" role="status" tabIndex={-1} ref={status}>
        Signed in as <strong>{username}</strong>
      </p>
      <button className="button" type="button" onClick={() => void keeper.signOut()}>
        Sign out
      </button>
    </div>
  );
}
