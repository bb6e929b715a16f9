import { usePaginatedQuery } from "convex/react";
import { type FormEvent, useState } from "react";
import { api } from "../../convex/_generated/api";
import type { Id } from "../../convex/_generated/dataModel";
import { errorText } from "../lib/errorText";
import { isPending, PAGE } from "../lib/issues";
import { useAddComment } from "../lib/mutations";
import { Ago } from "./Ago";
import { Avatar } from "./Avatar";
import { LoadMore } from "./LoadMore";

interface Props {
  issue: Id<"issues">;
  me: Id<"members"> | undefined;
  myName: string;
}

/** The comments on an issue, newest first, and the field to write one. */
export function Comments({ issue, me, myName }: Props) {
  const { results, status, loadMore } = usePaginatedQuery(api.comments.list, { issue }, { initialNumItems: PAGE });
  const add = useAddComment(myName);
  const [body, setBody] = useState("");
  const [error, setError] = useState<string | null>(null);

  async function onSubmit(event: FormEvent) {
    event.preventDefault();
    if (me === undefined || body.trim() === "") {
      return;
    }
    setBody("");
    setError(null);
    try {
      await add({ issue, author: me, body });
    } catch (failure) {
      setError(errorText(failure));
      setBody((typedSince) => typedSince || body);
    }
  }

  return (
    <div className="comments">
      <h3>Comments</h3>
      <form className="new-comment" onSubmit={onSubmit}>
        <input
          value={body}
          onChange={(event) => setBody(event.target.value)}
          placeholder="Write a comment"
          aria-label="New comment"
          maxLength={4000}
          autoComplete="off"
        />
        <button type="submit" className="button" disabled={me === undefined || body.trim() === ""}>
          Send
        </button>
        {error !== null && <p role="alert">{error}</p>}
      </form>
      <ol aria-label="Comments">
        {results.map((comment) => (
          <li key={comment._id} className={isPending(comment._id) ? "comment pending" : "comment"}>
            <Avatar name={comment.author ?? "SQL"} size={28} />
            <div>
              <p className="byline">
                <strong>{comment.author ?? "SQL"}</strong> <Ago ms={comment._creationTime} />
              </p>
              <p className="comment-body">{comment.body}</p>
            </div>
          </li>
        ))}
      </ol>
      <LoadMore what="comments" status={status} onMore={() => loadMore(PAGE)} />
    </div>
  );
}
