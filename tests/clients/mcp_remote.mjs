// Lists the tools and calls one over the stdio of mcp-remote, started the way a desktop host starts it.
import { once } from 'node:events';
import { collect, fail, folder, report, run, settings, speak, start, stop } from './common.mjs';

const call = settings(['legacy', 'auto']);

run(async () => {
  const header = call.token ? ['--header', 'Authorization:${AUTH_HEADER}'] : [];
  const child = start(
    'mcp-remote/dist/proxy.js',
    [call.url, '--transport', 'http-only', '--protocol', call.mode, ...header],
    {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { MCP_REMOTE_CONFIG_DIR: folder(), ...(call.token && { AUTH_HEADER: `Bearer ${call.token}` }) },
    },
  );
  const err = collect(child.stderr);
  let done = false;
  child.stdin.on('error', () => {}); // its exit, just below, says more than a broken pipe
  child.once('close', (code, signal) => done || fail(`mcp-remote ended with ${code ?? signal}:\n${err.text.trim()}`));

  const request = speak(child);
  await request('initialize', {
    protocolVersion: '2025-11-25',
    capabilities: {},
    clientInfo: { name: 'smartermcp-tests', version: '1.0.0' },
  });
  child.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', method: 'notifications/initialized' })}\n`);
  const { tools } = await request('tools/list', {});
  const result = await request('tools/call', { name: call.tool, arguments: call.arguments });

  done = true;
  const closed = once(child, 'close');
  child.stdin.end();
  const patience = setTimeout(() => stop(child), 2000);
  await closed;
  clearTimeout(patience);
  report('mcp-remote', call.mode, tools, result);
});
