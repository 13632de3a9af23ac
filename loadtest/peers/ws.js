// `ws`, the usual WebSocket library of Node: a room is a set of sockets.
import { WebSocketServer } from 'ws';

const port = Number(process.argv[2]);
const rooms = new Map();
const server = new WebSocketServer({ host: '127.0.0.1', port, backlog: 4096, perMessageDeflate: false });

server.on('connection', (socket, request) => {
  const room = rooms.get(request.url) ?? new Set();
  rooms.set(request.url, room.add(socket));
  socket.on('message', (data) => {
    for (const member of room) member.send(data, { binary: false });
  });
  socket.on('close', () => room.delete(socket));
  socket.on('error', () => socket.terminate());
});
