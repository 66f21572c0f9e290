// What the tests share: the real gateway that tests/it/sdk.rs has started, and a proxy and a played server before or instead of it.
import { createServer, request } from 'node:http';
import { once } from 'node:events';
import { SmarterMCP } from '@smartercl/mcp-client';

/** A setting that tests/it gives. */
export function setting(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set; these tests are started by cargo test sdk`);
  return value;
}

/** A client of the real gateway, with what it logs in `client.events`. */
export function connect(options = {}) {
  const events = [];
  const client = new SmarterMCP({ log: (event) => events.push(event), ...options });
  return Object.defineProperty(client, 'events', { value: events });
}

/** A server on a free port of this machine, gone with the test. */
export async function serve(t, handle) {
  const server = createServer((incoming, outgoing) => {
    Promise.resolve(handle(incoming, outgoing)).catch((error) => outgoing.destroy(error));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${server.address().port}`;
}

/** A server that plays a gateway: it answers from a list of `[status, body, headers?]`, and keeps the requests it got. */
export async function play(t, ...answers) {
  const requests = [];
  const endpoint = await serve(t, async (incoming, outgoing) => {
    requests.push({ method: incoming.method, url: incoming.url, headers: incoming.headers, body: await text(incoming) });
    const [status, body, headers = {}] = answers[Math.min(requests.length, answers.length) - 1];
    const json = typeof body !== 'string';
    outgoing.writeHead(status, { 'content-type': json ? 'application/json' : 'text/html', ...headers });
    outgoing.end(json ? JSON.stringify(body) : body);
  });
  return { endpoint, requests };
}

/** A proxy before the real gateway. `between` gets each answer, and may change it (by answering another body) or cut the client off. */
export async function proxy(t, between) {
  return await serve(t, async (incoming, outgoing) => {
    const body = await text(incoming);
    const { host, ...headers } = incoming.headers;
    const asked = request(setting('SMARTERMCP_ENDPOINT') + incoming.url, { method: incoming.method, headers });
    asked.end(body);
    const [answered] = await once(asked, 'response');
    const answer = {
      url: incoming.url,
      headers,
      status: answered.statusCode,
      body: await text(answered),
      cut: (within = 0) => {
        if (within === 0) return incoming.socket.destroy();
        outgoing.writeHead(200, { 'content-type': 'application/json', 'content-length': answer.body.length });
        outgoing.write(answer.body.slice(0, within), () => incoming.socket.destroy());
      },
    };
    const changed = (await between(answer)) ?? answer.body;
    if (outgoing.headersSent || incoming.socket.destroyed) return;
    const { 'content-length': _, 'transfer-encoding': __, ...kept } = answered.headers;
    outgoing.writeHead(answer.status, kept);
    outgoing.end(changed);
  });
}

async function text(stream) {
  const parts = [];
  for await (const part of stream) parts.push(part);
  return Buffer.concat(parts).toString();
}

/** A problem, as the gateway writes one. */
export function problem(status, code, title, more = {}) {
  return {
    type: `urn:smartermcp:problem:${code}`,
    title,
    status,
    detail: `This is ${code}`,
    code,
    retryable: false,
    request_id: 'request-1',
    ...more,
  };
}
