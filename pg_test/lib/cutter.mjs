// A proxy between a program and Postgres that cuts the connection at a statement.
import { connect, createServer } from "node:net";

/** The end of an answer of Postgres: it is ready for another statement. */
const READY = Buffer.from([0x5a, 0, 0, 0, 5]);
const isReady = (bytes) => bytes.subarray(-READY.length - 1, -1).equals(READY);

/**
 * Passes all on to the database of `url`, and cuts the first connection in which `statement` is prepared:
 * "before" anything of it arrives, "within" what is sent to execute it, or "after" it was executed, before its answer.
 */
export async function cutter(url, statement, moment) {
  const { port, hostname } = new URL(url);
  const proxy = { cuts: 0 };
  const server = createServer((near) => {
    const far = connect(Number(port), hostname);
    const ends = [near, far];
    const end = () => ends.forEach((socket) => socket.destroy());
    const cut = () => {
      proxy.cuts += 1;
      end();
    };
    const cutWithin = (bytes) => {
      proxy.cuts += 1;
      near.pause();
      far.end(bytes.subarray(0, bytes.length >> 1), end);
    };
    let prepared = false;
    let executed = false;
    near.on("data", (bytes) => {
      if (prepared && moment === "within") return cutWithin(bytes);
      executed ||= prepared;
      if (proxy.cuts === 0 && bytes.includes(statement)) {
        if (moment === "before") return cut();
        prepared = true;
      }
      far.write(bytes);
    });
    far.on("data", (bytes) => {
      if (!executed) near.write(bytes);
      else if (isReady(bytes)) cut();
    });
    for (const socket of ends) {
      socket.setNoDelay(true);
      socket.on("end", end).on("error", end);
    }
  });
  await new Promise((resolve, reject) => server.once("error", reject).listen(0, "127.0.0.1", resolve));
  const own = new URL(url);
  own.port = String(server.address().port);
  // It must be able to read.
  own.searchParams.set("sslmode", "disable");
  proxy.url = own.href;
  proxy.close = () => server.close();
  return proxy;
}
