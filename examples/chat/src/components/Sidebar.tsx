import { NameField } from "./NameField";
import { NewChannel } from "./NewChannel";

interface Props {
  /** undefined while they load. */
  channels: string[] | undefined;
  current: string;
  onSelect: (channel: string) => void;
  author: string;
  onAuthor: (name: string) => void;
}

export function Sidebar({ channels, current, onSelect, author, onAuthor }: Props) {
  return (
    <aside className="sidebar">
      <header className="brand">
        <img src="/icon.svg" alt="" width="32" height="32" />
        <div>
          <strong>pg_live chat</strong>
          <span>backed by PostgreSQL</span>
        </div>
      </header>
      <nav className="channels" aria-label="Channels">
        <div className="channels-title" aria-hidden="true">
          Channels
        </div>
        {channels === undefined ? (
          <ChannelSkeleton />
        ) : (
          <ul>
            {channels.map((name) => (
              <li key={name}>
                <button
                  type="button"
                  className="channel"
                  aria-current={name === current ? "page" : undefined}
                  onClick={() => onSelect(name)}
                >
                  <span className="hash" aria-hidden="true">
                    #
                  </span>
                  <span className="channel-name">{name}</span>
                </button>
              </li>
            ))}
          </ul>
        )}
        <NewChannel onCreated={onSelect} />
      </nav>
      <NameField author={author} onAuthor={onAuthor} />
    </aside>
  );
}

function ChannelSkeleton() {
  return (
    <div className="skeletons" aria-hidden="true">
      <span className="skeleton" style={{ width: "60%" }} />
      <span className="skeleton" style={{ width: "45%" }} />
      <span className="skeleton" style={{ width: "70%" }} />
    </div>
  );
}
