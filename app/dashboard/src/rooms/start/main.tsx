// The page at the root address: what is running, and where to go.
import "../../ui/base.css";
import "./start.css";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { Start } from "./Start";

createRoot(document.getElementById("root") as HTMLElement).render(
  <StrictMode>
    <Start />
  </StrictMode>,
);
