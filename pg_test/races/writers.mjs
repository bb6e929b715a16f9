// Writers of every kind: mutations, SQL in the three isolation levels, COPY.
import pg from "pg";

/** COPY ... FROM STDIN of some rows, which the library has no call for. */
class CopyIn extends pg.Query {
  constructor(statement, rows) {
    super(statement);
    this.entries = rows;
    this.promise = new Promise((resolve, reject) => {
      this.callback = (error) => (error ? reject(error) : resolve());
    });
  }

  handleCopyInResponse(connection) {
    connection.sendCopyFromChunk(Buffer.from(this.entries.map((row) => `${row.join("\t")}\n`).join("")));
    connection.endCopyFrom();
  }
}

/** Inserts entries, each [account, half, amount], by COPY. */
export async function copyEntries(connection, rows) {
  const copy = new CopyIn("COPY entries (account, half, amount) FROM STDIN", rows);
  connection.query(copy);
  await copy.promise;
}

export const LEVELS = ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"];

const isLost = (error) => ["40001", "40P01"].includes(error.code);

/** Runs `body` in a transaction until it has not lost against another one. */
export async function transact(connection, level, body) {
  for (;;) {
    try {
      await connection.query(`BEGIN ISOLATION LEVEL ${level}`);
      await body();
      await connection.query("COMMIT");
      return;
    } catch (error) {
      await connection.query("ROLLBACK");
      if (!isLost(error)) {
        throw error;
      }
    }
  }
}

/** Calls a mutation until it has not lost too often against others. */
export async function mutate(client, path, args) {
  for (;;) {
    try {
      return await client.mutate(path, args);
    } catch (error) {
      if (!error.message.includes("OptimisticConcurrencyControlFailure")) {
        throw error;
      }
    }
  }
}
