import { ConvexProvider, ConvexReactClient } from "convex/react";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./App";
import { ErrorBoundary } from "./components/ErrorBoundary";
import { serverUrl } from "./lib/serverUrl";
import "./styles/base.css";
import "./styles/shelf.css";
import "./styles/orders.css";

const client = new ConvexReactClient(serverUrl());
const root = document.getElementById("root");
if (root === null) {
  throw new Error("index.html has no element #root");
}

createRoot(root).render(
  <StrictMode>
    <ConvexProvider client={client}>
      <ErrorBoundary>
        <App />
      </ErrorBoundary>
    </ConvexProvider>
  </StrictMode>,
);
