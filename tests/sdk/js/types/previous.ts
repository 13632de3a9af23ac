// A front-end that was made for the version before reads what is sent today, and what it sends is taken.

import type * as Old from '../../../../protocol/previous/index.js';
import type * as New from '../../../../protocol/typescript/index.js';

/** Events with an enumeration that has more words now. */
type Grown = 'session.ended';
type Known = Exclude<Old.EventType, Grown>;

declare const events: { [N in Known]: New.Event<N> };
export const read: { [N in Known]: Old.Event<N> } = events;

declare const grown: { [N in Grown]: New.Event<N> };
// @ts-expect-error A word was added: once this is no error any more, the version before knows it.
export const new_words: { [N in Grown]: Old.Event<N> } = grown;

type OldCall = Exclude<Old.CallName, 'GET /channels/{channel}/events' | 'POST /me/password'>;
declare const answers: { [C in OldCall]: New.Calls[C]['answer'] };
export const answered: { [C in OldCall]: Old.Calls[C]['answer'] } = answers;

declare const sent: { [M in Old.Method]: Old.RpcData<M> };
export const taken: { [M in Old.Method]: New.RpcData<M> } = sent;
