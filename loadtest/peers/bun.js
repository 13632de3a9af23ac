// uWebSockets, in Bun: each room is a topic, and the topics of one turn of the event loop leave in one write per socket.
const port = Number(process.argv[2]);

Bun.serve({
  hostname: '127.0.0.1',
  port,
  fetch(request, server) {
    const room = new URL(request.url).pathname;
    return server.upgrade(request, { data: room }) ? undefined : new Response('not a WebSocket', { status: 400 });
  },
  websocket: {
    perMessageDeflate: false,
    idleTimeout: 0,
    publishToSelf: true,
    open(socket) {
      socket.subscribe(socket.data);
    },
    message(socket, text) {
      socket.publish(socket.data, text);
    },
  },
});
