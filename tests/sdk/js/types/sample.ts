// A small front-end, typed: it compiles as it is, and every mistake in it is found by the compiler.

import { Centrifuge, type PublicationContext } from 'centrifuge';
import type {
  CallName, Calls, Channel, Connected, ErrorCode, Event, EventOn, Message, Method, Present, Problem, Publication,
  Room, RpcAnswer, RpcData, SlotValue, Task, Uuid, Widget,
} from '../../../../protocol/typescript/index.js';

// --- REST

type Parts<C extends CallName> = Pick<Calls[C], 'path' | 'query' | 'body'>;

async function call<C extends CallName>(name: C, parts: Parts<C>): Promise<Calls[C]['answer']> {
  const [method, template] = name.split(' ') as [string, string];
  const fields: Record<string, string> = parts.path;
  const path = template.replace(/\{(\w+)\}/g, (_, field: string) => fields[field] ?? '');
  const answer = await fetch(`/api/v1${path}`, { method, body: JSON.stringify(parts.body) });
  if (answer.ok) return answer.json() as Promise<Calls[C]['answer']>;
  const problem = (await answer.json()) as Problem;
  throw new Error(advice(problem.code));
}

function advice(code: ErrorCode): string {
  switch (code) {
    case 'unauthorized': return 'sign in';
    case 'too_many_requests': return 'wait';
    // @ts-expect-error There is no such code.
    case 'teapot': return 'tea';
    default: return code;
  }
}

// --- commands

async function rpc<M extends Method>(client: Centrifuge, method: M, data: RpcData<M>): Promise<RpcAnswer<M>> {
  return (await client.rpc(method, data)).data as RpcAnswer<M>;
}

// --- state and events

const tasks = new Map<Uuid, Task>();

function applyToMine(event: EventOn<'user'>): void {
  switch (event.type) {
    case 'task.created':
    case 'task.updated':
      tasks.set(event.data.id, event.data);
      break;
    case 'task.moved':
      tasks.set(event.data.task.id, event.data.task);
      for (const { id, order_index } of event.data.reordered) {
        const task = tasks.get(id);
        if (task) tasks.set(id, { ...task, order_index });
      }
      break;
    case 'task.deleted':
      tasks.delete(event.data.id);
      // @ts-expect-error Of what is deleted only the id is told.
      event.data.description;
      break;
    // @ts-expect-error Rooms are on another channel.
    case 'widget.moved':
      break;
  }
}

const widgets = new Map<Uuid, Widget>();

function applyToRoom(message: Message<'workspace'>): void {
  switch (message.type) {
    case 'widget.moved':
      widgets.set(message.data.widget.id, message.data.widget);
      break;
    case 'drag':
      show(message);
      break;
    case 'slots':
      message.data.slots.forEach(show);
      break;
  }
}

function show(slot: SlotValue): void {
  if (slot.type !== 'drag') return;
  const widget = widgets.get(slot.key);
  if (widget && slot.data) widgets.set(slot.key, { ...widget, grid_x: Math.round(slot.data.grid_x) });
}

// --- together

export async function open(token: string, id: Uuid): Promise<void> {
  const client = new Centrifuge('ws://127.0.0.1:8080/connection/websocket', { token });
  client.on('connected', ({ data }) => console.log((data as Connected).server_time));
  const channel: Channel = `workspace:${id}`;
  // @ts-expect-error Not a kind of channel.
  const wrong: Channel = `room:${id}`;
  const room = client.newSubscription(channel, {
    joinLeave: true,
    getState: async () => {
      const state: Room = await call('GET /workspaces/{id}', { path: { id }, query: {}, body: undefined });
      state.widgets.forEach(widget => widgets.set(widget.id, widget));
      return state.positions.find(position => position.channel === channel)!;
    },
  });
  room.on('publication', ({ data }: PublicationContext) => applyToRoom(data as Message<'workspace'>));
  room.on('subscribed', ({ data }) => console.log((data as Present).num_users, wrong));
  room.subscribe();
  client.connect();

  const list = await call('POST /task-lists', { path: {}, query: {}, body: { name: 'Today' } });
  const list_id = list.data.id;
  // @ts-expect-error The list is in the address already.
  await call('POST /task-lists/{id}/tasks', { path: { id: list_id }, query: {}, body: { list_id, description: 'Read' } });
  const made = await rpc(client, 'task.create', { list_id, description: 'Read', op: crypto.randomUUID() });
  await rpc(client, 'task.update', { id: made.data.id, due_at: null, is_completed: true });
  // @ts-expect-error A description cannot be cleared.
  await rpc(client, 'task.update', { id: made.data.id, description: null });
  // @ts-expect-error There is no such field.
  await rpc(client, 'task.update', { id: made.data.id, done: true });
  // @ts-expect-error There is no such command.
  await rpc(client, 'task.tick', { id: made.data.id });

  const drag: Publication<'drag'> = { type: 'drag', key: id, data: { drag_id: id, grid_x: 1.5, grid_y: 2 } };
  await room.publish(drag);
  // @ts-expect-error Presence is the server's to tell.
  const presence: Publication<'presence'> = null;

  const page = await call('GET /channels/{channel}/events', { path: { channel }, query: { since: 0 }, body: undefined });
  const all: Event[] = page.items;
  all.forEach(event => console.log(event.type, event.actor, event.at, presence));
  client.newSubscription(`user:${id}`).on('publication', ({ data }) => applyToMine(data as EventOn<'user'>));
}
