// An application whose redirect URI sends the browser on to another host, as those do that end in a program on the member's device. A
// member signs in, and allows or refuses it in Chromium. Prints one line of JSON: what the other host was asked for after each.
import { once } from 'node:events';
import { createServer } from 'node:http';
import { allow, open, signIn } from './chromium.mjs';
import { run } from './common.mjs';

const { MCP_URL: gateway, MCP_TOKEN: token } = process.env;

run(async () => {
  const other = await serve((_, response) => response.end('You may close this page.'));
  const redirecting = await serve((request, response) => response.writeHead(302, { location: `${other}${request.url}` }).end());
  const redirect_uri = `${redirecting}/callback`;
  const registered = await fetch(`${gateway}/oauth/register`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ client_name: 'An application', redirect_uris: [redirect_uri] }),
  });
  const { client_id } = await registered.json();
  const query = new URLSearchParams({
    response_type: 'code',
    client_id,
    redirect_uri,
    scope: 'read:crm',
    code_challenge: 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM',
    code_challenge_method: 'S256',
    resource: `${gateway}/mcp`,
  });

  const arrived = {};
  for (const button of ['Allow', 'Refuse']) {
    const { browser, context } = await open();
    const page = await context.newPage();
    await signIn(page, `${gateway}/oauth/authorize?${query}`, token);
    await allow(page, button);
    await page.waitForURL((url) => url.origin === other);
    arrived[button] = [...new URL(page.url()).searchParams.keys()];
    await browser.close();
  }
  process.stdout.write(`${JSON.stringify({ arrived })}\n`, () => process.exit(0));
}, 100);

/** A server of this machine; its origin. */
async function serve(answer) {
  const server = createServer(answer).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `http://127.0.0.1:${server.address().port}`;
}
