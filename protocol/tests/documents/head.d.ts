// The types of everything that travels between a Studyhall server and its clients.
// Made by `make documents` from protocol/src, version <version>: change it there.

/** Lower case, with hyphens. */
export type Uuid = string;
/** UTC with microseconds, such as `2026-11-23T06:49:40.101669Z`. */
export type Timestamp = string;
/** Such as `2026-11-23`. */
export type Day = string;

/** The name of a channel. */
export type Channel = `${ChannelKind}:${Uuid}`;
export type ChannelKind = 'user' | 'profile' | 'workspace';

/** The name of a command, or of what else `rpc` does. */
export type Method = keyof Commands;
/** What `rpc` takes: the fields, and beside those of a command an operation id, which makes a retry safe. */
export type RpcData<M extends Method> = Commands[M]['data'] & (M extends 'presence.set' ? {} : { op?: Uuid | null });
/** What `rpc` answers, as does REST. */
export type RpcAnswer<M extends Method> = Commands[M]['answer'];

/** The name of an event. */
export type EventType = keyof Events;
/** An event as it travels: the `data` of a publication with an offset. Narrow it by its `type`. */
export type Event<T extends EventType = EventType> = {
  [N in T]: {
    type: N;
    /** Whose command it was; `null` when it sums up several. */
    actor: Uuid | null;
    /** The operation id of that command. */
    op: Uuid | null;
    /** When it happened, by the database's clock. */
    at: Timestamp;
    /** The full new state of what changed, or its id when it is gone. */
    data: Events[N]['data'];
  };
}[T];
/** The events of one kind of channel. */
export type EventOn<K extends ChannelKind> = Event<{ [N in EventType]: Events[N]['on'] extends K ? N : never }[EventType]>;
/** An event of a page of the log, with its number. */
export type LoggedEvent = { offset: number } & Event;

/** The type of a publication without a number. */
export type PublicationType = keyof Publications;
type Where<F extends string, V extends string> = {
  [N in PublicationType]: Publications[N] extends { [P in F]: V } ? N : never;
}[PublicationType];
/** What clients publish in a room. `data: null` clears a slot. */
export type Publication<T extends Where<'by', 'clients'> = Where<'by', 'clients'>> = {
  [N in T]: { type: N; data: Publications[N]['data'] } & Publications[N]['key'];
}[T];
/** What everybody in the channel gets: a publication without an offset. Narrow it by its `type`. */
export type Published<T extends PublicationType = PublicationType> = {
  [N in T]: { type: N; data: Publications[N]['data'] } & Publications[N]['key'] &
    (N extends 'slots' ? {} : { /** Who is behind it; set by the server. */ actor: Uuid });
}[T];
/** What a slot of a room holds. */
export type SlotValue = Published<Where<'life', 'slot'> & Where<'on', 'workspace'>>;
/** The `data` of any publication on one kind of channel. */
export type Message<K extends ChannelKind> = EventOn<K> | Published<Where<'on', K>>;

/** Such as `GET /tasks/{id}`. */
export type CallName = keyof Calls;

/** The word that an error begins with: `code` of a problem, and the beginning of the `message` of an `rpc` error. */
export type ErrorCode = keyof ErrorCodes;
