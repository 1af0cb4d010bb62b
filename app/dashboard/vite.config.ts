import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// The address is fixed because app/web/pages.py serves the build there. In `npm run dev` the API comes from a running platform.
export default defineConfig({
  base: "/static/dashboard/",
  publicDir: false,
  plugins: [react()],
  build: {
    outDir: "../web/static/dashboard",
    emptyOutDir: true,
    sourcemap: false,
    target: ["chrome123", "firefox125", "safari17.5"], // the first with light-dark(), which the design tokens are written in
    assetsInlineLimit: 0, // everything is a file of our own, so the content policy needs no data: for scripts or styles
    chunkSizeWarningLimit: 4096, // the editor is one chunk of 3 MB, and known to be
    rolldownOptions: {
      input: { index: "index.html", graphiql: "graphiql.html" },
      checks: { moduleLevelDirective: false }, // GraphiQL's "use no memo" speaks to a compiler that we do not run
    },
  },
  worker: { format: "es" },
  server: { proxy: { "/graphql": { target: "http://127.0.0.1:9092", ws: true } } },
});
