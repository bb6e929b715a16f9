import { Component, type ReactNode } from "react";
import { errorText } from "../lib/errorText";

interface State {
  error: unknown;
  failed: boolean;
}

/** How long a failed view is shown before it is tried again, in milliseconds. */
const RETRY_MS = 2000;

/** Shows what went wrong, and tries again by itself: a failed query may work after the next deploy. */
export class ErrorBoundary extends Component<{ children: ReactNode }, State> {
  override state: State = { error: null, failed: false };
  private timer: ReturnType<typeof setTimeout> | undefined;

  static getDerivedStateFromError(error: unknown): State {
    return { error, failed: true };
  }

  override componentDidCatch(): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(this.retry, RETRY_MS);
  }

  override componentWillUnmount(): void {
    clearTimeout(this.timer);
  }

  private readonly retry = (): void => {
    this.setState({ error: null, failed: false });
  };

  override render(): ReactNode {
    if (!this.state.failed) {
      return this.props.children;
    }
    return (
      <main className="crash" role="alert">
        <h1>The server reported an error</h1>
        <pre>{errorText(this.state.error)}</pre>
        <button type="button" className="button" onClick={this.retry}>
          Try again
        </button>
      </main>
    );
  }
}
