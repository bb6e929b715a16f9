import type { ReactNode } from "react";
import type { Priority, Status } from "../lib/issues";

function Icon({ className = "", children }: { className?: string; children: ReactNode }) {
  return (
    <svg
      className={`icon ${className}`}
      viewBox="0 0 24 24"
      fill="none"
      stroke="currentColor"
      strokeWidth="2"
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
    >
      {children}
    </svg>
  );
}

export const PlusIcon = () => (
  <Icon>
    <path d="M12 5v14M5 12h14" />
  </Icon>
);

export const CloseIcon = () => (
  <Icon>
    <path d="M6 6l12 12M18 6 6 18" />
  </Icon>
);

export const BoxIcon = () => (
  <Icon>
    <path d="M12 3 4 7.5v9L12 21l8-4.5v-9zM4 7.5l8 4.5 8-4.5M12 12v9" />
  </Icon>
);

/** An empty circle, one that is half full, and one with a tick. */
export const StatusIcon = ({ status }: { status: Status }) => (
  <Icon className={`status-${status}`}>
    <circle cx="12" cy="12" r="8.5" fill={status === "done" ? "currentColor" : "none"} />
    {status === "doing" && <path d="M12 7a5 5 0 0 1 0 10z" fill="currentColor" stroke="none" />}
    {status === "done" && <path d="m8.5 12 2.5 2.5 4.5-5" stroke="var(--bg)" />}
  </Icon>
);

const BARS: Record<Priority, number> = { low: 1, normal: 2, high: 3, urgent: 4 };

/** Bars, as many as the priority is high. */
export const PriorityIcon = ({ priority }: { priority: Priority }) => (
  <Icon className={`priority-${priority}`}>
    {[1, 2, 3, 4].map((bar) => (
      <path key={bar} d={`M${bar * 5 - 0.5} 19v-${bar * 3.5}`} strokeWidth="3" opacity={bar <= BARS[priority] ? 1 : 0.22} />
    ))}
  </Icon>
);
