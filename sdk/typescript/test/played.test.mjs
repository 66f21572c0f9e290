// The client against what the real gateway never does: an older or newer one, proxies, redirects. These servers are played.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { inspect } from 'node:util';
import * as sdk from '@smartercl/mcp-client';
import { connect, play, problem, proxy, serve } from './gateway.mjs';
import { KINDS } from '../dist/errors.js';

const EMPTY = { services: [] };

test('a method that the gateway does not know says which version it needs', async (t) => {
  const { endpoint } = await play(t, [404, problem(404, 'unknown_tool', 'Not found')], [200, { status: 'healthy', version: '0.9.0' }]);
  await assert.rejects(connect({ endpoint }).services.list(), (error) => {
    assert.ok(error instanceof sdk.NotSupportedByGateway);
    assert.match(error.message, /services\.list needs a gateway of version 1\.0\.0 or newer, and this one is 0\.9\.0/);
    return true;
  });
});

test('fields and values that a newer gateway has do not break this version', async (t) => {
  const endpoint = await proxy(t, (answer) => {
    const body = JSON.parse(answer.body);
    body.new_thing = { own_key: 1 };
    for (const service of body.services) Object.assign(service, { status: 'hibernating', new_field: { a_b: 1 } });
    return JSON.stringify(body);
  });
  const services = await connect({ endpoint }).services.list();
  assert.equal(services[0].status, 'hibernating');
  assert.deepEqual(services[0].new_field, { a_b: 1 }, 'its spelling is not guessed');
  assert.deepEqual(services.new_thing, { own_key: 1 });
});

test('a proxy that finds no gateway for a moment is asked again, a write with the same key', async (t) => {
  const { endpoint, requests } = await play(
    t,
    [502, '<h1>Bad Gateway</h1>'],
    [503, ''],
    [200, { execution_id: 'e', workflow_id: 'w', status: 'completed', started_at: 'now' }],
  );
  const { executionId } = await connect({ endpoint }).workflows.trigger(
    { workflowId: 'w', inputData: { a_b: 1 } },
    { idempotencyKey: 'mine' },
  );
  assert.equal(executionId, 'e');
  assert.deepEqual(
    requests.map((one) => [one.headers['idempotency-key'], one.body]),
    Array(3).fill(['mine', '{"workflow_id":"w","input_data":{"a_b":1}}']),
  );
});

test('it is tried as often as was said, and then the last failure is told', async (t) => {
  const down = [503, problem(503, 'backend_down', 'The backend is unavailable', { retryable: true })];
  const { endpoint, requests } = await play(t, down);
  const error = await connect({ endpoint, maxRetries: 2 })
    .services.list()
    .catch((error) => error);
  assert.ok(error instanceof sdk.BackendDownError);
  assert.equal(error.requestId, 'request-1');
  assert.equal(requests.length, 3);
});

test('a failure that is this write’s kept outcome, or that will not pass, is not asked for again', async (t) => {
  const down = problem(503, 'backend_down', 'The backend is unavailable', { retryable: true });
  const kept = await play(t, [503, down, { 'idempotent-replayed': 'true' }]);
  await assert.rejects(connect({ endpoint: kept.endpoint }).services.restart({ serviceId: 's' }), sdk.BackendDownError);
  assert.equal(kept.requests.length, 1);
  const spent = await play(t, [429, problem(429, 'quota_spent', 'Quota spent'), { 'retry-after': '1' }]);
  await assert.rejects(connect({ endpoint: spent.endpoint }).services.list(), sdk.QuotaSpentError);
  assert.equal(spent.requests.length, 1);
});

test('a Retry-After of a date is understood, and one beyond the limit is not waited for', async (t) => {
  const limited = problem(429, 'rate_limited', 'Rate limit exceeded', { retryable: true });
  const tomorrow = new Date(Date.now() + 86_400_000).toUTCString();
  const { endpoint, requests } = await play(t, [429, limited, { 'retry-after': tomorrow }]);
  const error = await connect({ endpoint })
    .services.list()
    .catch((error) => error);
  assert.ok(error instanceof sdk.RateLimitedError && error.retryAfter > 86_000, `${error.retryAfter}`);
  assert.equal(requests.length, 1);
});

test('a problem whose fields are of other kinds is no other failure, and is not asked for again', async (t) => {
  const odd = problem(503, 'backend_down', 'The backend is unavailable', { retryable: 'yes', retry_after: 'soon' });
  const { endpoint, requests } = await play(t, [503, odd]);
  const error = await connect({ endpoint })
    .services.list()
    .catch((error) => error);
  assert.ok(error instanceof sdk.BackendDownError && error.retryAfter === undefined && !error.retryable, inspect(error));
  assert.equal(requests.length, 1);
});

test('what is no gateway is told from one, and a redirect gets no token', async (t) => {
  for (const body of ['<h1>Welcome</h1>', [], { other: true }]) {
    const { endpoint } = await play(t, [200, body]);
    await assert.rejects(
      connect({ endpoint }).services.list(),
      (error) => error instanceof sdk.UnexpectedAnswer && /Check the endpoint/.test(error.message),
    );
  }
  const empty = await play(t, [200, {}]);
  await assert.rejects(connect({ endpoint: empty.endpoint }).tools.list(), sdk.UnexpectedAnswer);
  const elsewhere = await play(t, [200, EMPTY]);
  const { endpoint } = await play(t, [307, '', { location: elsewhere.endpoint }]);
  await assert.rejects(connect({ endpoint }).services.list(), { code: 'redirected' });
  assert.equal(elsewhere.requests.length, 0);
  await assert.rejects(connect({ endpoint: 'http://127.0.0.1:1', maxRetries: 0 }).services.list(), sdk.ConnectionFailed);
});

test('a stream that ends in the middle, or says that it failed, is no end of the log', async (t) => {
  const stream = { 'content-type': 'text/event-stream' };
  const cut = await play(t, [200, 'event: line\r\ndata: one\r\n\r\n: still working\n\nevent: line\ndata:  two\n\n', stream]);
  const lines = [];
  await assert.rejects(async () => {
    for await (const line of connect({ endpoint: cut.endpoint }).services.logs({ serviceId: 's', follow: true })) lines.push(line);
  }, sdk.ConnectionFailed);
  assert.deepEqual(lines, ['one', ' two']);

  const failure = JSON.stringify(problem(502, 'backend_refused', 'The backend refused'));
  const failed = await play(t, [200, `event: error\ndata: ${failure}\n\nevent: end\ndata: {}\n\n`, stream]);
  await assert.rejects(
    connect({ endpoint: failed.endpoint }).services.logs({ serviceId: 's', follow: true }).next(),
    sdk.BackendRefusedError,
  );
});

test('pages that lead back to one of them are not followed for ever', async (t) => {
  for (const cursors of ['AA', 'ABA', 'ABCB']) {
    const { endpoint, requests } = await play(t, ...[...cursors].map((cursor) => [200, { services: [{ id: 'a' }], next_cursor: cursor }]));
    await assert.rejects(async () => {
      for await (const service of connect({ endpoint }).services.list()) assert.equal(service.id, 'a');
    }, sdk.UnexpectedAnswer);
    assert.equal(requests.length, cursors.length);
  }
});

test('a log that fails, at once or later, fails no call', async (t) => {
  const told = t.mock.method(console, 'error', () => {});
  const full = new Error('the disk is full');
  const done = { execution_id: 'e', workflow_id: 'w', status: 'completed', started_at: 'now' };
  const { endpoint, requests } = await play(t, [503, ''], [200, done]);
  const hooks = [
    () => {
      throw full;
    },
    async () => {
      throw full;
    },
  ];
  for (const log of hooks) {
    const { executionId } = await connect({ endpoint, log }).workflows.trigger({ workflowId: 'w' });
    assert.equal(executionId, 'e');
  }
  assert.equal(requests.length, 3, 'the first was refused once, and nothing was done twice');
  assert.ok(told.mock.callCount() >= 7 && told.mock.calls.every((call) => call.arguments.includes(full)), `${told.mock.callCount()}`);
});

test('an answer to a write that cannot be read tells the key to ask again with', async (t) => {
  for (const body of ['<html>', '[1']) {
    const { endpoint, requests } = await play(t, [200, body, { 'x-request-id': 'r1' }]);
    const error = await connect({ endpoint })
      .workflows.trigger({ workflowId: 'w' })
      .catch((error) => error);
    assert.ok(error instanceof sdk.UnexpectedAnswer, inspect(error));
    assert.deepEqual([error.code, error.status, error.requestId, error.tool], ['unreadable_answer', 200, 'r1', 'workflows_trigger']);
    assert.equal(error.idempotencyKey, requests[0].headers['idempotency-key']);
    assert.equal(requests.length, 1);
  }
});

test('a write that was under way when the client was closed tells its key', async (t) => {
  const keys = [];
  let client;
  const silent = await serve(t, (incoming) => {
    keys.push(incoming.headers['idempotency-key']);
    void client.close();
  });
  client = connect({ endpoint: silent });
  const lost = await client.workflows.trigger({ workflowId: 'w' }).catch((error) => error);
  assert.ok(lost instanceof sdk.ConfigurationError && lost.code === 'closed' && lost.idempotencyKey === keys[0], inspect(lost));

  const down = await play(t, [503, '']);
  const closing = connect({ endpoint: down.endpoint, log: ({ type }) => type === 'retry' && closing.close() });
  const pausing = await closing.workflows.trigger({ workflowId: 'w' }).catch((error) => error);
  assert.equal(pausing.code, 'closed');
  assert.equal(pausing.idempotencyKey, down.requests[0].headers['idempotency-key']);
  assert.equal(down.requests.length, 1);
});

test('what a newer gateway says under a name that arrays have does not break the array', async (t) => {
  const { endpoint } = await play(t, [200, { services: [{ id: 'a' }, { id: 'b' }], next_cursor: null, length: 0, map: 'x', more: 1 }]);
  const services = await connect({ endpoint }).services.list();
  assert.deepEqual(
    services.map((service) => service.id),
    ['a', 'b'],
  );
  assert.deepEqual([services.$length, services.$map, services.more], [0, 'x', 1]);
});

test('an answer of a tool by its name is printed without its secrets, however deep, and holds them', async (t) => {
  const deep = '['.repeat(50_000) + ']'.repeat(50_000);
  const body = `{"api_token":"smcp_top","own":{"webhook_secret":"hush","list":[{"said":"smcp_deep"}]},"monkey":"shown","deep":${deep}}`;
  const { endpoint } = await play(t, [200, body]);
  const answer = await connect({ endpoint }).tools.call('newer_tool');
  assert.equal(answer.api_token, 'smcp_top');
  for (const value of [answer, { answer }, answer.own, answer.own.list, answer.own.list[0]]) {
    assert.doesNotMatch(inspect(value, { depth: 9 }), /smcp_|hush/);
  }
  assert.match(inspect(answer), /api_token: '\[secret\]'[^]*monkey: 'shown'/);
  assert.deepEqual({ ...answer.own.list[0] }, { said: 'smcp_deep' });
});

test('an event without an end is not kept without an end', async (t) => {
  for (const line of ['data:\n', `data: ${'x'.repeat(1000)}\n`, 'x'.repeat(1000)]) {
    const { endpoint } = await play(t, [200, line.repeat(12_000_000 / line.length), { 'content-type': 'text/event-stream' }]);
    const error = await connect({ endpoint })
      .services.logs({ serviceId: 's', follow: true })
      .next()
      .catch((error) => error);
    assert.match(`${error.cause}`, /an event of more than/);
  }
});

test('wrong options are refused before anything is sent, and not quoted', () => {
  const secret = 'smcp_secret';
  for (const options of [
    { apiToken: '' },
    { apiToken: `${secret}\n` },
    { tenantId: 'a b' },
    { endpoint: 'mcp.smarterbot.cl' },
    { endpoint: 'ftp://mcp.smarterbot.cl' },
    { endpoint: `https://me:${secret}@mcp.smarterbot.cl` },
    { timeoutMs: 0 },
    { maxRetries: -1 },
    { maxWaitMs: Infinity },
  ]) {
    assert.throws(
      () => new sdk.SmarterMCP(options),
      (error) => error instanceof sdk.ConfigurationError && !error.message.includes(secret),
      JSON.stringify(options),
    );
  }
});

test('a call that cannot be sent is refused with the reason, and not sent', async () => {
  const client = connect();
  const endless = {};
  endless.self = endless;
  for (const value of [1n, endless]) {
    await assert.rejects(client.workflows.trigger({ workflowId: 'w', inputData: { value } }), sdk.ConfigurationError);
    await assert.rejects(client.tools.call('workflows_trigger', { value }), sdk.ConfigurationError);
  }
  for (const name of ['', '.', '..', '\ud800']) await assert.rejects(client.tools.call(name), sdk.ConfigurationError);
  assert.deepEqual(client.events, []);
});

test('a question mark or a number sign at the end of the endpoint swallows no path', async (t) => {
  const { endpoint, requests } = await play(t, [200, EMPTY]);
  for (const end of ['?', '#', '/?#']) await connect({ endpoint: endpoint + end }).services.list();
  assert.deepEqual(
    requests.map((one) => one.url),
    Array(3).fill('/api/v1/tools/services_list'),
  );
});

test('a key that no header can carry is refused, once', async () => {
  const client = connect();
  await assert.rejects(client.services.restart({ serviceId: 's' }, { idempotencyKey: 'a\nb' }), sdk.ConfigurationError);
  assert.deepEqual(client.events, []);
});

test('each kind of the gateway’s errors has a class', async () => {
  const document = JSON.parse(await readFile(new URL('../../../openapi/smartermcp.json', import.meta.url)));
  const told = Object.entries(document.components.responses).flatMap(([name, { description }]) =>
    description.split(', or: ').map((title) => `${name.replace('Problem', '')} ${title}`),
  );
  assert.deepEqual(KINDS.map(([status, title]) => `${status} ${title}`).sort(), told.sort());
  for (const [, , kind] of KINDS) assert.equal(sdk[kind.name], kind);
});
