// Runs one revision of the MCP conformance suite through a loopback proxy that adds the token the suite cannot send.
import { once } from 'node:events';
import net from 'node:net';
import { fileURLToPath } from 'node:url';
import { count, fail, folder, keep, run, start } from './common.mjs';

const revisions = ['2025-11-25', '2026-07-28'];
const [revision] = process.argv.slice(2);
const { MCP_URL, MCP_TOKEN } = process.env;
if (!revisions.includes(revision)) fail(`say ${revisions.join(' or ')} as the first argument, not ${JSON.stringify(revision)}`);
if (!MCP_URL || !URL.canParse(MCP_URL)) fail(`MCP_URL is not a URL: ${JSON.stringify(MCP_URL)}`);
const gateway = new URL(MCP_URL);
if (gateway.protocol !== 'http:') fail(`the proxy speaks plain HTTP only, not ${gateway.protocol}`);

run(async () => {
  const proxy = net.createServer({ noDelay: true }, relay).listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  const baseline = fileURLToPath(new URL(`baseline-${revision}.yml`, import.meta.url));
  const results = folder();
  const suite = start(
    '@modelcontextprotocol/conformance/dist/index.js',
    [
      'server', '--url', `http://127.0.0.1:${proxy.address().port}/mcp`,
      '--requirements', revision, '--expected-failures', baseline, '-o', results,
    ],
    { stdio: ['ignore', 'inherit', 'inherit'] },
  );
  const [code, signal] = await once(suite, 'close');
  if (code !== 0) {
    keep(results);
    console.error(`what the checks saw is in ${results}`);
  }
  const outcome = { requirements: revision, ...count(results), exit: code ?? signal };
  process.stdout.write(`${JSON.stringify(outcome)}\n`, () => process.exit(code ?? 1));
}, 300);

/**
 * Passes one connection on as the bytes it is, so that the gateway judges the very headers the suite wrote (case, blanks
 * and all). Only the head of the request is touched; one request per connection keeps it at that.
 */
function relay(client) {
  let head = Buffer.alloc(0);
  client.on('error', () => client.destroy());
  client.on('data', function read(part) {
    head = Buffer.concat([head, part]);
    const end = head.indexOf('\r\n\r\n');
    if (end < 0) {
      if (head.length > 65536) client.destroy();
      return;
    }
    client.off('data', read).pause();
    const server = net.connect({ port: gateway.port || 80, host: gateway.hostname.replace(/^\[|\]$/g, ''), noDelay: true });
    server.write(rewrite(head.toString('latin1', 0, end), client.localPort), 'latin1');
    server.write(head.subarray(end));
    client.pipe(server).pipe(client);
    client.on('close', () => server.destroy());
    server.on('error', () => client.destroy());
    server.on('close', () => client.destroySoon());
  });
}

/** The request's head with the gateway's path, its port wherever ours stood, the token, and no keep-alive. */
function rewrite(head, ourPort) {
  const [request, ...fields] = head.split('\r\n');
  const kept = fields.filter((field) => !/^connection:/i.test(field)).map((field) => theirs(field, ourPort));
  if (MCP_TOKEN && !kept.some((field) => /^authorization:/i.test(field))) kept.push(`Authorization: Bearer ${MCP_TOKEN}`);
  const target = request.replace(' /mcp ', () => ` ${gateway.pathname}${gateway.search} `);
  return [target, ...kept, 'Connection: close'].join('\r\n');
}

function theirs(field, ourPort) {
  const own = new RegExp(`^((?:host|origin):.*):${ourPort}([ \\t]*)$`, 'i');
  return field.replace(own, (_, name, blank) => `${name}${gateway.port ? `:${gateway.port}` : ''}${blank}`);
}
