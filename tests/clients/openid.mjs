// A real OpenID provider (npm's oidc-provider) on the port that was promised to the gateway, an application that registers at the
// gateway, and a member who signs in at the provider in Chromium and allows it. Prints one line of JSON: what the page said, and the
// tools that the application lists.
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { Provider } from 'oidc-provider';
import { allow, open } from './chromium.mjs';
import { fail, run } from './common.mjs';

const { MCP_URL: gateway, OPENID_ISSUER: issuer, OPENID_CLIENT_ID: client_id, OPENID_CLIENT_SECRET: client_secret, MEMBER: email } = process.env;

run(async () => {
  const provider = new Provider(issuer, {
    clients: [{ client_id, client_secret, redirect_uris: [`${gateway}/oauth/sign-in/callback`], application_type: 'web' }],
    claims: { openid: ['sub'], email: ['email', 'email_verified'] },
    // Whoever says who he is, is: the provider's own forms for development.
    findAccount: (_, accountId) => ({ accountId, claims: () => ({ sub: accountId, email: accountId, email_verified: true }) }),
    cookies: { keys: [randomBytes(32).toString('hex')] },
  });
  const serving = provider.listen(new URL(issuer).port, '127.0.0.1');
  await once(serving, 'listening');
  const application = createServer((_, response) => response.end('You may close this page.')).listen(0, '127.0.0.1');
  await once(application, 'listening');
  const redirect_uri = `http://127.0.0.1:${application.address().port}/callback`;

  const registered = await post(`${gateway}/oauth/register`, { client_name: 'An application', redirect_uris: [redirect_uri] });
  const verifier = randomBytes(32).toString('base64url');
  const asking = new URL(`${gateway}/oauth/authorize`);
  asking.search = new URLSearchParams({
    response_type: 'code',
    client_id: registered.client_id,
    redirect_uri,
    state: 'a state',
    scope: 'read:crm read:analytics',
    resource: `${gateway}/mcp`,
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
  });

  const { browser, context } = await open();
  const page = await context.newPage();
  await page.goto(asking.href);
  await page.getByRole('link', { name: /^Continue with / }).click();
  await page.getByPlaceholder('Enter any login').fill(email);
  await page.getByPlaceholder('and password').fill('any');
  await page.getByRole('button', { name: 'Sign-in' }).click();
  await page.getByRole('button', { name: 'Continue' }).click();
  await page.getByRole('heading', { name: 'Connect this application?' }).waitFor();
  const asked = await allow(page);
  const answer = new URL(page.url()).searchParams;
  await browser.close();

  const tokens = await post(
    `${gateway}/oauth/token`,
    new URLSearchParams({
      grant_type: 'authorization_code',
      code: answer.get('code'),
      redirect_uri,
      client_id: registered.client_id,
      code_verifier: verifier,
      resource: `${gateway}/mcp`,
    }),
  );
  const transport = new StreamableHTTPClientTransport(new URL(`${gateway}/mcp`), {
    requestInit: { headers: { Authorization: `Bearer ${tokens.access_token}` } },
  });
  const client = new Client({ name: 'smartermcp-tests', version: '1.0.0' });
  await client.connect(transport);
  const { tools } = await client.listTools();
  await client.close();
  const line = { asked, scope: tokens.scope, iss: answer.get('iss'), state: answer.get('state'), tools: tools.map(({ name }) => name) };
  process.stdout.write(`${JSON.stringify(line)}\n`, () => process.exit(0));
}, 100);

/** What is answered to JSON, or to a form. */
async function post(url, body) {
  const isForm = body instanceof URLSearchParams;
  const response = await fetch(url, {
    method: 'POST',
    headers: isForm ? {} : { 'content-type': 'application/json' },
    body: isForm ? body : JSON.stringify(body),
  });
  const text = await response.text();
  if (!response.ok) fail(`${url} answers ${response.status}: ${text}`);
  return JSON.parse(text);
}
