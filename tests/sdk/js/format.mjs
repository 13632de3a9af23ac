// JSON or protobuf, as STUDYHALL_FORMAT says. The tests are the same: over protobuf the SDK hands out bytes and takes bytes,
// and here they are read and written as an application would.

import { Centrifuge as Json } from 'centrifuge';
import { Centrifuge as Protobuf } from 'centrifuge/build/protobuf';

export const format = process.env.STUDYHALL_FORMAT ?? 'json';
const binary = format === 'protobuf';

const shut = value => (value === undefined ? value : new TextEncoder().encode(JSON.stringify(value)));

/// What the SDK says, with values where it has bytes.
export function open(value) {
  if (!binary || value === null || typeof value !== 'object' || value instanceof Error) return value;
  if (value instanceof Uint8Array) return value.length > 0 ? JSON.parse(new TextDecoder().decode(value)) : undefined;
  if (Array.isArray(value)) return value.map(open);
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, open(inner)]));
}

const opening = getData => getData && (async (...context) => shut(await getData(...context)));

class Spoken extends Protobuf {
  constructor(endpoint, { getData, ...options }) {
    super(endpoint, { ...options, ...(getData && { getData: opening(getData) }) });
  }

  rpc = async (method, data) => open(await super.rpc(method, shut(data)));
  publish = async (channel, data) => open(await super.publish(channel, shut(data)));
  send = data => super.send(shut(data));
  history = async (channel, options) => open(await super.history(channel, options));
  presence = async channel => open(await super.presence(channel));
}

export const Centrifuge = binary ? Spoken : Json;

/// A frame as it is to be kept.
export const kept = data => (binary ? Buffer.from(data) : data.toString());

/// What is joined in one frame, each as text.
export function messages(frame) {
  if (!binary) return frame.split('\n');
  const found = [];
  for (let at = 0; at < frame.length; ) {
    let length = 0;
    for (let shift = 0; ; shift += 7) {
      length += (frame[at] & 0x7f) * 2 ** shift;
      if (frame[at++] < 0x80) break;
    }
    found.push(frame.subarray(at, at + length).toString());
    at += length;
  }
  return found;
}

/// A ping or a pong.
export const isEmpty = frame => messages(frame).some(message => message === (binary ? '' : '{}'));
