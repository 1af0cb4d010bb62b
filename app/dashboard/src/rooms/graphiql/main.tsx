// GraphiQL's page, served at /graphql to browsers.
import "graphiql/setup-workers/vite";
import "@graphiql/react/style.css";
import "@graphiql/plugin-doc-explorer/style.css";
import "@graphiql/plugin-history/style.css";
import "@graphiql/plugin-explorer/style.css";
import "graphiql/graphiql.css";
import "../../ui/base.css";
import "./graphiql.css";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { SessionKeeper } from "../../api/session";
import { GraphiQLPage } from "./GraphiQLPage";

const keeper = new SessionKeeper(window.sessionStorage);

function render() {
  createRoot(document.getElementById("root") as HTMLElement).render(
    <StrictMode>
      <GraphiQLPage keeper={keeper} />
    </StrictMode>,
  );
}

// The editor measures its characters once, so its face must be there before it is.
document.fonts.load('15px "Fira Code"').then(render, render);
