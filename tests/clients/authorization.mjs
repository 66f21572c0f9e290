// Runs the official suite's tests of an authorization server against the gateway, as a client that registers itself, with a member who
// signs in and allows it in Chromium. Prints one line of JSON: how the checks ended.
import { once } from 'node:events';
import net from 'node:net';
import { allow, open, signIn } from './chromium.mjs';
import { count, fail, folder, run, start } from './common.mjs';

const { MCP_URL: issuer, MCP_TOKEN: token } = process.env;

run(async () => {
  const { browser, context } = await open();
  const port = await free();
  const registered = await fetch(`${issuer}/oauth/register`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      client_name: 'MCP conformance suite',
      redirect_uris: [`http://127.0.0.1:${port}/callback`],
      token_endpoint_auth_method: 'none',
    }),
  });
  const { client_id: id } = await registered.json();
  if (registered.status !== 201) fail(`the registration was answered ${registered.status}`);

  const results = folder();
  const suite = start('@modelcontextprotocol/conformance/dist/index.js', [
    'authorization', '--url', issuer, '--client-id', id, '--resource', `${issuer}/mcp`, '-p', String(port), '-o', results,
  ]);
  let said = '';
  let asked = null;
  const seen = async (url) => {
    const page = await context.newPage();
    await signIn(page, url, token);
    asked = await allow(page);
  };
  suite.stdout.setEncoding('utf8').on('data', (part) => {
    said += part;
    const [url] = said.match(/^http:\S+\/oauth\/authorize\?\S+(?=\n)/m) ?? [];
    if (url && asked === null) {
      asked = '';
      seen(url).catch((error) => fail(`in the browser: ${error}`));
    }
  });
  suite.stderr.on('data', (part) => (said += part));
  const [code, signal] = await once(suite, 'close');
  await browser.close();
  if (code !== 0) console.error(said);
  process.stdout.write(`${JSON.stringify({ exit: code ?? signal, asked, ...count(results) })}\n`, () => process.exit(0));
}, 100);

/** A port of this machine that nobody uses. */
async function free() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}
