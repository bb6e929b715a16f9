// The database's answers without the database: what is left is the cost of npm's own layer.

interface Host {
  syscall: (op: string, args: string) => string;
  asyncSyscall: (op: string, args: string) => Promise<string>;
}

/** The answers to an operation, one after the other and over again. */
export type Answers = Record<string, readonly string[]>;

/** Runs `work` while everything that `ctx.db` asks is answered by these strings. */
export async function withCanned<T>(answers: Answers, work: () => Promise<T>): Promise<T> {
  const place = globalThis as unknown as { Convex: Host };
  const host = place.Convex;
  const next: Record<string, number> = {};
  const answer = (op: string) => {
    const strings = answers[op];
    if (strings === undefined) {
      throw new Error(`nothing is prepared for ${op}`);
    }
    const index = next[op] ?? 0;
    next[op] = (index + 1) % strings.length;
    return strings[index]!;
  };
  place.Convex = { ...host, syscall: answer, asyncSyscall: async (op) => answer(op) };
  try {
    return await work();
  } finally {
    place.Convex = host;
  }
}
