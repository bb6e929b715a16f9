import type { Doc } from "../../convex/_generated/dataModel";
import { hueOf } from "../lib/person";
import { hashOf } from "../lib/useRoute";
import type { CSSProperties } from "react";
import { Me } from "./Me";
import { NewProject } from "./NewProject";

interface Props {
  /** undefined while they load. */
  projects: Doc<"projects">[] | undefined;
  /** The key of the one that is shown. */
  current: string | undefined;
  name: string;
  onName: (name: string) => void;
}

export function Sidebar({ projects, current, name, onName }: Props) {
  return (
    <aside className="sidebar">
      <header className="brand">
        <img src="/icon.svg" alt="" width="32" height="32" />
        <div>
          <strong>pg_live tracker</strong>
          <span>backed by PostgreSQL</span>
        </div>
      </header>
      <nav className="projects" aria-label="Projects">
        <div className="caption" aria-hidden="true">
          Projects
        </div>
        <ul>
          {projects?.map(({ _id, key, name }) => (
            <li key={_id}>
              <a href={hashOf({ key })} className="project" aria-current={key === current ? "page" : undefined}>
                <span className="project-key" style={{ "--hue": hueOf(key) } as CSSProperties}>
                  {key}
                </span>
                <span className="project-name">{name}</span>
              </a>
            </li>
          ))}
        </ul>
        <NewProject />
      </nav>
      <Me name={name} onName={onName} />
    </aside>
  );
}
