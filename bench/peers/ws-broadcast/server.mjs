// The least that a fan-out costs in Node: one text of npm `ws`, framed once, sent to each client in turn.
//
// Started by the bench as a child process; tells its port to its parent, which sends it texts.
import { Sender, WebSocketServer } from "ws";

const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: false, backlog: 1024 });
server.on("connection", (socket) => socket.send('{"n":0}'));
process.on("disconnect", () => process.exit());
process.on("message", (text) => {
  // As a user who measures does: the frame is made once for all clients.
  const frame = Buffer.concat(Sender.frame(Buffer.from(text), { fin: true, rsv1: false, opcode: 1, mask: false, readOnly: false }));
  for (const { _socket: socket } of server.clients) {
    socket.write(frame);
  }
});
server.on("listening", () => process.send({ port: server.address().port }));
