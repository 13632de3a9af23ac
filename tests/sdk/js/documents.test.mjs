// The documents in protocol/: the types compile, the descriptions are what they claim to be, and a node serves them.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { Validator } from '@seriousme/openapi-schema-validator';
import Ajv from 'ajv';
import Ajv2020 from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { node, test } from './world.mjs';

const protocol = new URL('../../../protocol/', import.meta.url);
const read = name => JSON.parse(readFileSync(new URL(name, protocol), 'utf8'));

test('a front-end that uses the types compiles, and its mistakes are found', () => {
  const { status, stdout, stderr } = spawnSync('node_modules/.bin/tsc', ['-p', 'types'], { encoding: 'utf8' });
  assert.equal(status, 0, stdout + stderr);
});

test('openapi.json is OpenAPI 3.1', async () => {
  const validator = new Validator();
  const { valid, errors } = await validator.validate(read('openapi.json'));
  assert.ok(valid, JSON.stringify(errors, null, 2));
  assert.equal(validator.version, '3.1');
  validator.resolveRefs();
});

test('asyncapi.json is AsyncAPI 3', () => {
  const specification = createRequire(import.meta.url)('@asyncapi/specs/schemas/3.0.0.json');
  // It brings the schema of schemas along.
  const ajv = new Ajv({ strict: false, validateFormats: false, meta: false, validateSchema: false });
  const validate = ajv.compile(specification);
  const document = read('asyncapi.json');
  assert.ok(validate(document), JSON.stringify(validate.errors, null, 2));
  // What refers to something refers to something that is there.
  const refer = value => {
    if (value === null || typeof value !== 'object') return;
    if (typeof value.$ref === 'string') {
      const path = value.$ref.slice(2).split('/');
      assert.ok(path.reduce((at, name) => at?.[name], document), value.$ref);
    }
    Object.values(value).forEach(refer);
  };
  refer(document);
});

test('every schema is JSON Schema 2020-12', () => {
  const files = readdirSync(new URL('schemas/', protocol));
  assert.ok(files.length >= 5);
  for (const file of files) {
    const ajv = new Ajv2020({ strict: true, strictTypes: false, allowUnionTypes: true, formats: { int32: true, int64: true, double: true } });
    addFormats(ajv);
    ajv.compile(read(`schemas/${file}`));
  }
});

test('the schemas tell right from wrong', () => {
  const ajv = new Ajv2020({ strict: false, formats: { int32: true, int64: true, double: true } });
  addFormats(ajv);
  const command = ajv.compile(read('schemas/commands.json'));
  const id = crypto.randomUUID();
  for (const [right, data] of [
    [true, { id, is_completed: true, due_at: null, op: id }],
    [true, { id }],
    [false, { id, is_completed: null }],
    [false, { id, done: true }],
    [false, { is_completed: true }],
    [false, { id: 'mine' }],
    [false, { id, due_at: 'tomorrow' }],
  ]) {
    assert.equal(command({ method: 'task.update', data }), right, JSON.stringify(data));
  }
  assert.ok(!command({ method: 'task.tick', data: { id } }));
});

test('a node serves its descriptions to everybody', async () => {
  for (const name of ['openapi.json', 'asyncapi.json']) {
    const answer = await fetch(`${node.url}/api/v1/${name}`);
    assert.equal(answer.status, 200);
    assert.match(answer.headers.get('content-type'), /^application\/json/);
    assert.deepEqual(await answer.json(), read(name));
  }
});
