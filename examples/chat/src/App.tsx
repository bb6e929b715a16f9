import { useQuery } from "convex/react";
import { api } from "../convex/_generated/api";
import { ChannelView } from "./components/ChannelView";
import { Sidebar } from "./components/Sidebar";
import { DEFAULT_CHANNEL } from "./lib/channels";
import { useAuthor } from "./lib/useAuthor";
import { useChannelRoute } from "./lib/useChannelRoute";

export function App() {
  const [author, setAuthor] = useAuthor();
  const [channel, goTo] = useChannelRoute();
  const stored = useQuery(api.channels.list);
  const names = stored?.map(({ name }) => name).filter((name) => name !== DEFAULT_CHANNEL);

  return (
    <div className="app">
      <Sidebar
        channels={names === undefined ? undefined : [DEFAULT_CHANNEL, ...names]}
        current={channel}
        onSelect={goTo}
        author={author}
        onAuthor={setAuthor}
      />
      <ChannelView key={channel} channel={channel} author={author} />
    </div>
  );
}
